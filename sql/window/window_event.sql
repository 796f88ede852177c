-- Grain: one row per (kind, key, position), the oldest event at position 0. What text_id reads is
-- in the text.parquet of stage event. Windows are numbered in the order of (kind, key): sorting by
-- the number is a third faster than by the words.
SELECT
    windowed.window_number
    , sample_window.kind
    , sample_window.key
    , CAST(counted.events - 1 - windowed.newer_events AS INTEGER) AS position
    , windowed.event_at
    , windowed.known_at
    , CAST(
        DATE_DIFF('microsecond', sample_window.window_start_at, windowed.event_at)
        / 3600000000.0 AS FLOAT
    ) AS hours
    , CAST(NULL AS FLOAT) AS end_hours
    , windowed.event_table
    , windowed.text_id
    , windowed.source_row
FROM windowed_event AS windowed
INNER JOIN sample_window
    ON windowed.window_number = sample_window.window_number
INNER JOIN event_count AS counted
    ON windowed.window_number = counted.window_number
WHERE windowed.drop_reason IS NULL
ORDER BY window_number, position
