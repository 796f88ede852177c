-- Grain: one row per split with images, and one for all of them, total.
SELECT
    split
    , COUNT(*) AS samples
    , COUNT(DISTINCT subject_id) AS patients
FROM (
    SELECT *
    FROM image
    UNION ALL BY NAME
    SELECT * REPLACE ('total' AS split)
    FROM image
) AS counted
GROUP BY split
ORDER BY split
