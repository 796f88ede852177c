-- Grain: one row per (kind, key), numbered in that order.
-- A sample without events has no hadm_id here, so nothing falls into its window: what happened at
-- the minute of its film does not either.
SELECT
    CAST(ROW_NUMBER() OVER (ORDER BY sample.kind, sample.key) AS INTEGER) AS window_number
    , sample.kind
    , sample.key
    , sample.hadm_id
    , sample.stay_id
    , sample.window_start_at
    , sample.window_end_at
FROM (
    SELECT
        'pair' AS kind
        , pair_id AS key
        , CASE WHEN NOT is_null_event THEN hadm_id END AS hadm_id
        , stay_id
        , window_start_at
        , window_end_at
    FROM pair
    UNION ALL
    SELECT
        'stay' AS kind
        , key
        , hadm_id
        , stay_id
        , window_start_at
        , window_end_at
    FROM stay
) AS sample
ORDER BY window_number
