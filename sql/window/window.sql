-- Grain: one row per (kind, key).
-- hours: for a stay, of the whole window; for a pair, up to its last measurement, 1 at least; 0 if
-- nothing was measured or the recipe has no hourly record. hourly_start_hours: from the window's
-- start to the start of hour 0. The latest times are of what is kept.
SELECT
    sample_window.kind
    , sample_window.key
    , sample_window.window_start_at
    , sample_window.window_end_at
    , CAST(
        CASE
            WHEN NOT $hourly THEN 0
            WHEN sample_window.kind = 'stay'
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
            ELSE COALESCE(measured.last_hour + 1, 0)
        END AS INTEGER
    ) AS hours
    , COALESCE(
        DATE_DIFF('microsecond', sample_window.window_start_at, measured.origin_at), 0
    )
    / 3600000000.0 AS hourly_start_hours
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
