-- Grain: one row per pair further apart than the minimum gap with a measurement in its window.
-- Hours are counted from the first measurement in the window, [k, k + 1); event_hours is how many of
-- them hold a measurement. The authors' code subtracts hours since ICU admission as floats that it
-- has read from a csv file (published_hour), so that a whole hour may fall short of itself.
SELECT
    sample_window.key AS pair_id
    , COUNT(DISTINCT COALESCE(
        FLOOR(published_hour.hours - first_hour.hours)
        , DATE_DIFF('microsecond', first_measurement.event_at, measurement.event_at) // 3600000000
    )) AS event_hours
FROM windowed_measurement AS measurement
INNER JOIN (
    SELECT
        window_number
        , MIN(event_at) AS event_at
    FROM windowed_measurement
    WHERE NOT is_carried
    GROUP BY window_number
) AS first_measurement
    ON measurement.window_number = first_measurement.window_number
INNER JOIN sample_window
    ON measurement.window_number = sample_window.window_number
LEFT JOIN published_hour
    ON DATE_DIFF('second', sample_window.intime, measurement.event_at) = published_hour.seconds
LEFT JOIN published_hour AS first_hour
    ON
        DATE_DIFF('second', sample_window.intime, first_measurement.event_at)
        = first_hour.seconds
WHERE NOT measurement.is_carried
GROUP BY sample_window.key
ORDER BY pair_id
