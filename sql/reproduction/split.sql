-- Grain: one row per split of the contract, and one for all of them, total.
SELECT
    wanted.split
    , COUNT(counted.subject_id) AS patients
FROM (VALUES ('train'), ('valid'), ('test'), ('total')) AS wanted (split)
LEFT JOIN (
    SELECT *
    FROM split
    UNION ALL BY NAME
    SELECT * REPLACE ('total' AS split)
    FROM split
) AS counted
    ON wanted.split = counted.split
GROUP BY wanted.split
ORDER BY split
