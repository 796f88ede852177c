-- Grain: one row per (pair_id, admission whose events belong to its window).
-- That is the pair's own admission; none if the pair is a sample without events.
SELECT
    pair_id
    , hadm_id
FROM pair_sample
WHERE
    drop_reason IS NULL
    AND NOT is_null_event
ORDER BY pair_id, hadm_id
