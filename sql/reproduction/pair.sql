-- Grain: one row per split of the contract, empty or not, and one for all of them, total.
SELECT
    wanted.split
    , COUNT(counted.subject_id) AS samples
    , COUNT(DISTINCT counted.subject_id) AS patients
    , COUNT(DISTINCT counted.hadm_id) AS admissions
    , COUNT(DISTINCT counted.stay_id) AS stays
    , COUNT(*) FILTER (WHERE counted.died_in_hospital) AS deaths
    , AVG(counted.gap_hours) AS "mean gap hours"
FROM (VALUES ('train'), ('valid'), ('test'), ('total')) AS wanted (split)
LEFT JOIN (
    SELECT *
    FROM pair
    UNION ALL BY NAME
    SELECT * REPLACE ('total' AS split)
    FROM pair
) AS counted
    ON wanted.split = counted.split
GROUP BY wanted.split
ORDER BY split
