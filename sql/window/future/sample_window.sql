-- Grain: one row per (kind, key), numbered in that order.
-- Window: [window_start_at, window_end_at).
SELECT
    CAST(ROW_NUMBER() OVER (ORDER BY sample.kind, sample.key) AS INTEGER) AS window_number
    , sample.kind
    , sample.key
    , sample.subject_id
    , sample.hadm_id
    , sample.window_start_at
    , sample.window_end_at
FROM (
    SELECT
        'pair' AS kind
        , pair_id AS key
        , subject_id
        , hadm_id
        , window_start_at
        , window_end_at
    FROM pair
    UNION ALL
    SELECT
        'stay' AS kind
        , key
        , subject_id
        , hadm_id
        , window_start_at
        , window_end_at
    FROM stay
) AS sample
ORDER BY window_number
