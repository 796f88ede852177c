-- Grain: one row per distinct text of the events that are kept: of those within the lengths.
SELECT
    text_id
    , text
FROM whole_text
WHERE LENGTH(text) BETWEEN $minimum_length AND $maximum_length
ORDER BY text_id
