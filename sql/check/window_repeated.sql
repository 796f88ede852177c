-- Grain: one row per sample with several windows.
SELECT
    kind
    , key
FROM "window" AS sample_window
GROUP BY kind, key
HAVING COUNT(*) > 1
ORDER BY kind, key
