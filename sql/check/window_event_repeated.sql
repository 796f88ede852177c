-- Grain: one row per source row that a window holds more than once.
SELECT
    kind
    , key
    , event_table
    , source_row
FROM window_event
GROUP BY
    kind
    , key
    , event_table
    , source_row
HAVING COUNT(*) > 1
ORDER BY kind, key, event_table, source_row
