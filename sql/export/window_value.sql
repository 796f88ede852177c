-- Grain: one row per (window_number, hours, variable): of values at one instant the one that wins, as
-- in window/hourly_value.sql. hours: since the window's start, 0 for what was carried into it; divided
-- as the authors do, for the last bit.
SELECT
    sample_window.window_number
    , sample_window.stay_id
    , CAST(
        GREATEST(DATE_DIFF('second', sample_window.window_start_at, measurement.event_at), 0)
        AS DOUBLE
    )
    / 60
    / 60 AS hours
    , measurement.variable
    , MAX_BY(
        measurement.value
        , (measurement.event_at, COALESCE(measurement.charted, ''), measurement.value)
    ) AS value
FROM windowed_measurement AS measurement
INNER JOIN sample_window
    ON measurement.window_number = sample_window.window_number
GROUP BY ALL
ORDER BY window_number, hours, variable
