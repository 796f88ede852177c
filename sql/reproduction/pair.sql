-- Grain: one row per split with pairs, and one for all of them, total.
SELECT
    split
    , COUNT(*) AS samples
    , COUNT(DISTINCT subject_id) AS patients
    , COUNT(DISTINCT hadm_id) AS admissions
    , COUNT(DISTINCT stay_id) AS stays
    , COUNT(*) FILTER (WHERE died_in_hospital) AS deaths
    , AVG(gap_hours) AS "mean gap hours"
FROM (
    SELECT *
    FROM pair
    UNION ALL BY NAME
    SELECT * REPLACE ('total' AS split)
    FROM pair
) AS counted
GROUP BY split
ORDER BY split
