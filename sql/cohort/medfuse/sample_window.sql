-- Grain: one row per stay in the cohort: its window, [intime, window_end_at], both ends included.
SELECT
    CAST(ROW_NUMBER() OVER (ORDER BY stay_id) AS INTEGER) AS window_number
    , 'stay' AS kind
    , LEFT(SHA256(CONCAT_WS('|', 'stay', stay_id)), 16) AS key
    , subject_id
    , hadm_id
    , stay_id
    , intime
    , outtime
    , intime AS window_start_at
    , window_end_at
    , TRUE AS includes_start
    , $includes_end AS includes_end
FROM stay
WHERE drop_reason IS NULL
ORDER BY window_number
