-- Grain: one row per event of any table that its own file keeps, dropped ones with a reason.
-- A text's length is in characters, as it reads.
SELECT
    kept.subject_id
    , kept.hadm_id
    , kept.event_at
    , kept.ends_at
    , kept.known_at
    , kept.event_table
    , kept.source_row
    , kept.text_id
    , CASE
        WHEN whole_text.length < $minimum_length THEN '01 text shorter than minimum_length'
        WHEN whole_text.length > $maximum_length THEN '02 text longer than maximum_length'
    END AS drop_reason
FROM kept
INNER JOIN (
    SELECT
        text_id
        , LENGTH(text) AS length
    FROM whole_text
) AS whole_text
    ON kept.text_id = whole_text.text_id
ORDER BY subject_id, event_at, event_table, source_row
