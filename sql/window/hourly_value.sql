-- Grain: one row per (window_number, hour, variable) with a measurement.
-- Hours are (k, k + 1] after the origin; the origin itself and what was carried into the window are
-- in hour 0. The last value of an hour wins; of values at one instant the largest as a number (for a
-- category: the largest position), or as a text where the recipe keeps the charted text (without
-- $numeric_ties).
SELECT
    measurement.window_number
    , CAST(
        GREATEST(
            DATE_DIFF('microsecond', window_origin.origin_at, measurement.event_at) - 1, 0
        ) // 3600000000 AS INTEGER
    ) AS hour
    , measurement.variable
    , MAX_BY(
        measurement.value
        , (measurement.event_at, COALESCE(measurement.charted, ''), measurement.value)
    ) AS value
    , COUNT(*) AS measurements
    , MAX(measurement.event_at) AS latest_event_at
    , MAX(measurement.known_at) AS latest_known_at
FROM windowed_measurement AS measurement
INNER JOIN window_origin
    ON measurement.window_number = window_origin.window_number
WHERE window_origin.origin_at IS NOT NULL
GROUP BY ALL
ORDER BY window_number, hour, variable
