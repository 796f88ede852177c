-- Grain: one row per patient who is in several splits.
SELECT subject_id
FROM split
GROUP BY subject_id
HAVING COUNT(*) > 1
ORDER BY subject_id
