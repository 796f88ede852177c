-- Grain: one row per distinct text of the events that are kept, its parts still apart.
SELECT
    text_id
    , text
FROM kept
GROUP BY text_id, text
ORDER BY text_id
