-- Grain: one row per event of any table that its own file under text/ keeps.
-- White space of any length and kind in a text becomes one blank.
SELECT
    kept.subject_id
    , kept.hadm_id
    , kept.event_at
    , kept.known_at
    , kept.event_table
    , kept.source_row
    , CASE
        WHEN
            CONTAINS(kept.text, '  ')
            OR CONTAINS(kept.text, CHR(9))
            OR CONTAINS(kept.text, CHR(10))
            OR CONTAINS(kept.text, CHR(13))
            THEN TRIM(REGEXP_REPLACE(kept.text, '\s+', ' ', 'g'))
        ELSE kept.text
    END AS text
FROM kept
ORDER BY subject_id, event_at, event_table, source_row
