-- Grain: one row per split with stays, and one for all of them, total.
-- Groups by the age of the last film at the prediction: [0, 12), [12, 24), [24, 36) and [36, ...)
-- hours (specs ddl-cxr 5.1).
SELECT
    split
    , COUNT(*) AS samples
    , COUNT(DISTINCT subject_id) AS patients
    , COUNT(DISTINCT hadm_id) AS admissions
    , COUNT(previous_dicom_id) AS "with film"
    , COUNT(*) FILTER (WHERE died_in_hospital) AS deaths
    , AVG(CAST(died_in_hospital AS DOUBLE)) AS "prevalence/death in hospital"
    , AVG(age) AS "mean/age"
    , STDDEV_SAMP(age) AS "sd/age"
    , AVG(CASE WHEN sex = 'M' THEN 100.0 WHEN sex = 'F' THEN 0.0 END) AS "men percent"
    , COUNT(*) FILTER (WHERE hours_since_previous < 12)
        AS "last film under 12 h"
    , COUNT(*) FILTER (WHERE hours_since_previous >= 12 AND hours_since_previous < 24)
        AS "last film 12 to 24 h"
    , COUNT(*) FILTER (WHERE hours_since_previous >= 24 AND hours_since_previous < 36)
        AS "last film 24 to 36 h"
    , COUNT(*) FILTER (WHERE hours_since_previous >= 36)
        AS "last film 36 h or more"
    , AVG(CAST(died_in_hospital AS DOUBLE)) FILTER (WHERE hours_since_previous < 12)
        AS "prevalence/death, last film under 12 h"
    , AVG(CAST(died_in_hospital AS DOUBLE)) FILTER (WHERE hours_since_previous >= 12 AND hours_since_previous < 24)
        AS "prevalence/death, last film 12 to 24 h"
    , AVG(CAST(died_in_hospital AS DOUBLE)) FILTER (WHERE hours_since_previous >= 24 AND hours_since_previous < 36)
        AS "prevalence/death, last film 24 to 36 h"
    , AVG(CAST(died_in_hospital AS DOUBLE)) FILTER (WHERE hours_since_previous >= 36)
        AS "prevalence/death, last film 36 h or more"
FROM (
    SELECT *
    FROM stay
    UNION ALL BY NAME
    SELECT * REPLACE ('total' AS split)
    FROM stay
) AS counted
GROUP BY split
ORDER BY split
