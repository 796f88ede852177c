-- Grain: one row per (kind, key): the time up to which a sample may know its patient's history.
SELECT
    'pair' AS kind
    , pair_id AS key
    , subject_id
    , hadm_id
    , window_start_at AS as_of
FROM pair
UNION ALL
SELECT
    'stay' AS kind
    , key
    , subject_id
    , hadm_id
    , window_end_at AS as_of
FROM stay
ORDER BY kind, key
