-- Grain: one row per event of any table that its own file keeps. Its text is in text.parquet.
SELECT
    subject_id
    , hadm_id
    , event_at
    , known_at
    , event_table
    , source_row
    , text_id
FROM kept
ORDER BY subject_id, event_at, event_table, source_row
