-- Grain: one row per event that is older than the one before it, or does not follow its position.
SELECT
    kind
    , key
    , position
FROM window_event
QUALIFY
    position <> ROW_NUMBER() OVER (PARTITION BY kind, key ORDER BY position) - 1
    OR (event_at, event_table, source_row)
    < LAG((event_at, event_table, source_row)) OVER (PARTITION BY kind, key ORDER BY position)
ORDER BY kind, key, position
