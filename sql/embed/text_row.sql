-- Grain: one row per text_id of the windows' events. Two ids may read alike: they have one row.
SELECT
    text.text_id
    , distinct_text."row"
FROM text
INNER JOIN distinct_text
    ON text.text = distinct_text.text
WHERE text.text_id IN (SELECT text_id FROM window_event)
ORDER BY text_id
