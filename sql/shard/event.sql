-- Grain: one row per (kind, key, position): an event of a window by its row in the embedding table.
-- event_row is NULL for a text that was never embedded; the stage refuses it.
SELECT
    window_event.kind
    , window_event.key
    , window_event.position
    , text_row.row AS event_row
    , window_event.hours
    , window_event.end_hours
    , window_event.event_table
FROM window_event
LEFT JOIN text_row
    ON window_event.text_id = text_row.text_id
ORDER BY kind, key, position
