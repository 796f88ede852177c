-- Grain: one row per measurement of any table that its own file under measurement/ keeps.
SELECT
    subject_id
    , hadm_id
    , stay_id
    , event_at
    , known_at
    , variable
    , value
    , charted
    , source
    , source_row
FROM kept
ORDER BY subject_id, event_at, source, source_row
