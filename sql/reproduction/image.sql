-- Grain: one row per split of the contract, empty or not, and one for all of them, total.
SELECT
    wanted.split
    , COUNT(counted.subject_id) AS samples
    , COUNT(DISTINCT counted.subject_id) AS patients
FROM (VALUES ('train'), ('valid'), ('test'), ('total')) AS wanted (split)
LEFT JOIN (
    SELECT *
    FROM image
    UNION ALL BY NAME
    SELECT * REPLACE ('total' AS split)
    FROM image
) AS counted
    ON wanted.split = counted.split
GROUP BY wanted.split
ORDER BY split
