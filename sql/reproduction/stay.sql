-- Grain: one row per split of the contract, empty or not, and one for all of them, total.
-- Groups by the age of the last film at the prediction: [0, 12), [12, 24), [24, 36) and [36, ...)
-- hours (specs ddl-cxr 5.1).
SELECT
    wanted.split
    , COUNT(counted.subject_id) AS samples
    , COUNT(DISTINCT counted.subject_id) AS patients
    , COUNT(DISTINCT counted.hadm_id) AS admissions
    , COUNT(counted.previous_dicom_id) AS "with film"
    , COUNT(*) FILTER (WHERE counted.died_in_hospital) AS deaths
    , AVG(CAST(counted.died_in_hospital AS DOUBLE)) AS "prevalence/death in hospital"
    , AVG(counted.age) AS "mean/age"
    , STDDEV_SAMP(counted.age) AS "sd/age"
    , AVG(CASE WHEN counted.sex = 'M' THEN 100.0 WHEN counted.sex = 'F' THEN 0.0 END) AS "men percent"
    , COUNT(*) FILTER (WHERE counted.hours_since_previous < 12)
        AS "last film under 12 h"
    , COUNT(*) FILTER (WHERE counted.hours_since_previous >= 12 AND counted.hours_since_previous < 24)
        AS "last film 12 to 24 h"
    , COUNT(*) FILTER (WHERE counted.hours_since_previous >= 24 AND counted.hours_since_previous < 36)
        AS "last film 24 to 36 h"
    , COUNT(*) FILTER (WHERE counted.hours_since_previous >= 36)
        AS "last film 36 h or more"
    , AVG(CAST(counted.died_in_hospital AS DOUBLE))
        FILTER (WHERE counted.hours_since_previous < 12)
        AS "prevalence/death, last film under 12 h"
    , AVG(CAST(counted.died_in_hospital AS DOUBLE))
        FILTER (WHERE counted.hours_since_previous >= 12 AND counted.hours_since_previous < 24)
        AS "prevalence/death, last film 12 to 24 h"
    , AVG(CAST(counted.died_in_hospital AS DOUBLE))
        FILTER (WHERE counted.hours_since_previous >= 24 AND counted.hours_since_previous < 36)
        AS "prevalence/death, last film 24 to 36 h"
    , AVG(CAST(counted.died_in_hospital AS DOUBLE))
        FILTER (WHERE counted.hours_since_previous >= 36)
        AS "prevalence/death, last film 36 h or more"
FROM (VALUES ('train'), ('valid'), ('test'), ('total')) AS wanted (split)
LEFT JOIN (
    SELECT *
    FROM stay
    UNION ALL BY NAME
    SELECT * REPLACE ('total' AS split)
    FROM stay
) AS counted
    ON wanted.split = counted.split
GROUP BY wanted.split
ORDER BY split
