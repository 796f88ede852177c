-- Grain: one row per (kind, split, event_table, bin) with an event. bin: b holds events of
-- [4 b, 4 b + 4) hours before the window's end, 12 also all of before.
-- When it was known against the end: at is the end itself. Margins are microseconds to the end,
-- negative if later.
SELECT
    sample_window.kind
    , sample_window.split
    , window_event.event_table
    , CAST(
        LEAST(
            GREATEST(
                DATE_DIFF('microsecond', window_event.event_at, sample_window.window_end_at)
                // 14400000000
                , 0
            )
            , 12
        ) AS INTEGER
    ) AS bin
    , COUNT(*) AS events
    , COUNT(*) FILTER (
        WHERE window_event.known_at < sample_window.window_end_at - INTERVAL 1 HOUR
    ) AS earlier
    , COUNT(*) FILTER (
        WHERE
        window_event.known_at >= sample_window.window_end_at - INTERVAL 1 HOUR
        AND window_event.known_at < sample_window.window_end_at
    ) AS last_hour
    , COUNT(*) FILTER (WHERE window_event.known_at = sample_window.window_end_at) AS at_end
    , COUNT(*) FILTER (WHERE window_event.known_at > sample_window.window_end_at) AS after_end
    , MIN(DATE_DIFF('microsecond', window_event.event_at, sample_window.window_end_at))
        AS event_margin
    , MIN(DATE_DIFF('microsecond', window_event.known_at, sample_window.window_end_at))
        AS known_margin
FROM window_event
INNER JOIN sample_window
    ON
        window_event.kind = sample_window.kind
        AND window_event.key = sample_window.key
GROUP BY
    sample_window.kind
    , sample_window.split
    , window_event.event_table
    , bin
ORDER BY kind, split, event_table, bin
