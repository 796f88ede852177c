-- Grain: one row per (kind, key), numbered in that order. A stay has its own window and, of the kind
-- generation, the one that a film at its prediction time is generated from.
-- includes_start, includes_end: whether each end belongs to the window. Without $hour_zero a stay's
-- start does not (specs ddl-cxr 3.6, rule 3), and a pair's ends do as etl/published_hours.py says.
-- A sample without events has no hadm_id here, so nothing falls into its window: what happened at
-- the minute of its film does not either.
SELECT
    CAST(ROW_NUMBER() OVER (ORDER BY sample.kind, sample.key) AS INTEGER) AS window_number
    , sample.kind
    , sample.key
    , sample.subject_id
    , sample.hadm_id
    , sample.stay_id
    , stay.intime
    , stay.outtime
    , sample.window_start_at
    , sample.window_end_at
    , CASE
        WHEN sample.kind = 'stay' THEN $hour_zero
        ELSE COALESCE(first_edge.in_window_at_start, TRUE)
    END AS includes_start
    , $includes_end AND COALESCE(last_edge.in_window_at_end, TRUE) AS includes_end
FROM (
    SELECT
        'pair' AS kind
        , pair_id AS key
        , subject_id
        , CASE WHEN NOT is_null_event THEN hadm_id END AS hadm_id
        , stay_id
        , window_start_at
        , window_end_at
    FROM pair
    UNION ALL
    SELECT
        'stay' AS kind
        , key
        , subject_id
        , hadm_id
        , stay_id
        , window_start_at
        , window_end_at
    FROM stay
    UNION ALL
    SELECT
        'generation' AS kind
        , key
        , subject_id
        , hadm_id
        , stay_id
        , generation_start_at AS window_start_at
        , window_end_at
    FROM stay
    WHERE generation_start_at IS NOT NULL
) AS sample
LEFT JOIN all_stay AS stay
    ON sample.stay_id = stay.stay_id
LEFT JOIN published_edge AS first_edge
    ON
        sample.kind = 'pair'
        AND DATE_DIFF('second', stay.intime, sample.window_start_at) = first_edge.seconds
LEFT JOIN published_edge AS last_edge
    ON
        sample.kind = 'pair'
        AND DATE_DIFF('second', stay.intime, sample.window_end_at) = last_edge.seconds
ORDER BY window_number
