-- Grain: one row per distinct text of the windows' events, numbered in the order of its UTF-8 bytes.
SELECT
    CAST(ROW_NUMBER() OVER (ORDER BY text) - 1 AS INTEGER) AS "row"
    , SHA256(text) AS sha256
    , text
FROM (
    SELECT DISTINCT text.text
    FROM text
    WHERE text.text_id IN (SELECT text_id FROM window_event)
) AS used
ORDER BY text
