-- Grain: one row per key that several samples share, of one kind or of two.
SELECT key
FROM (
    SELECT pair_id AS key
    FROM pair
    UNION ALL
    SELECT key
    FROM stay
    UNION ALL
    SELECT key
    FROM image
) AS sample
GROUP BY key
HAVING COUNT(*) > 1
ORDER BY key
