-- Grain: one row per (kind, key).
-- hours: all of the window, the last one begun if not whole; 0 if the recipe has no hourly record.
-- hourly_start_hours: 0, for hour 0 begins with the window. The latest times are of what is kept; of
-- what runs they are those of its start.
SELECT
    sample_window.kind
    , sample_window.key
    , sample_window.window_start_at
    , sample_window.window_end_at
    , CAST(
        CASE
            WHEN $hourly
                THEN
                    GREATEST(
                        DATE_DIFF(
                            'microsecond'
                            , sample_window.window_start_at
                            , sample_window.window_end_at
                        )
                        - 1
                        , 0
                    )
                    // 3600000000
                    + 1
            ELSE 0
        END AS INTEGER
    ) AS hours
    , CAST(0 AS DOUBLE) AS hourly_start_hours
    , CAST(COALESCE(counted.events, 0) AS INTEGER) AS events
    , CAST(COALESCE(counted.dropped_events, 0) AS INTEGER) AS dropped_events
    , GREATEST(measured.latest_event_at, counted.latest_event_at) AS latest_event_at
    , GREATEST(measured.latest_known_at, counted.latest_known_at) AS latest_known_at
FROM sample_window
LEFT JOIN measured_window AS measured
    ON sample_window.window_number = measured.window_number
LEFT JOIN event_count AS counted
    ON sample_window.window_number = counted.window_number
ORDER BY kind, key
