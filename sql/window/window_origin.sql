-- Grain: one row per window; hours are counted from origin_at.
-- Pair: the first measurement in the window (the published "relative" start), null if there is none.
-- Stay: the window's start.
SELECT
    sample_window.window_number
    , CASE
        WHEN sample_window.kind = 'stay' THEN sample_window.window_start_at
        ELSE MIN(measurement.event_at) FILTER (WHERE NOT measurement.is_carried)
    END AS origin_at
FROM sample_window
LEFT JOIN windowed_measurement AS measurement
    ON sample_window.window_number = measurement.window_number
GROUP BY
    sample_window.window_number
    , sample_window.kind
    , sample_window.window_start_at
ORDER BY window_number
