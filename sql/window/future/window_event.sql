-- Grain: one row per (kind, key, position), the oldest event at position 0. What text_id reads is
-- in the text.parquet of stage event.
-- hours, end_hours: since the window's start; negative before it. end_hours is null of a moment, and
-- infinite of what still runs at the window's end: when that ends is not known by then. So is it of
-- what ends so shortly before that a float cannot tell.
SELECT
    window_number
    , kind
    , key
    , CAST(
        ROW_NUMBER() OVER (
            PARTITION BY window_number ORDER BY event_at, event_table, source_row
        )
        - 1 AS INTEGER
    ) AS position
    , event_at
    , known_at
    , hours
    , CASE
        WHEN end_hours >= window_hours THEN CAST('inf' AS FLOAT)
        ELSE end_hours
    END AS end_hours
    , event_table
    , text_id
    , source_row
FROM (
    SELECT
        windowed.*
        , sample_window.kind
        , sample_window.key
        , CAST(
            DATE_DIFF('microsecond', sample_window.window_start_at, windowed.event_at)
            / 3600000000.0 AS FLOAT
        ) AS hours
        , CAST(
            DATE_DIFF('microsecond', sample_window.window_start_at, windowed.ends_at)
            / 3600000000.0 AS FLOAT
        ) AS end_hours
        , CAST(
            DATE_DIFF(
                'microsecond', sample_window.window_start_at, sample_window.window_end_at
            )
            / 3600000000.0 AS FLOAT
        ) AS window_hours
    FROM windowed_event AS windowed
    INNER JOIN sample_window
        ON windowed.window_number = sample_window.window_number
    WHERE windowed.drop_reason IS NULL
) AS placed
ORDER BY window_number, position
