-- Grain: one row per measurement of any table that its own file under measurement/ keeps.
-- ends_at is null of a moment. Of what runs, value is the rate: mL/h, or the variable's unit. A total
-- of the coma scale has the source gcs_total and the row of its first response.
SELECT
    subject_id
    , hadm_id
    , event_at
    , ends_at
    , known_at
    , variable
    , value
    , source
    , source_row
FROM kept
ORDER BY hadm_id, event_at, source, source_row
