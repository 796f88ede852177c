-- Grain: one row per window in which anything was measured: the hours with a value, a column a
-- variable.
SELECT
    kind
    , key
    , COUNT(COLUMNS(* EXCLUDE (kind, key, hour)))
FROM hourly
GROUP BY
    kind
    , key
ORDER BY kind, key
