-- Grain: one row per split, and one for all of them, total.
SELECT
    split
    , COUNT(*) AS patients
FROM (
    SELECT split
    FROM split
    UNION ALL
    SELECT 'total' AS split
    FROM split
) AS counted
GROUP BY split
ORDER BY split
