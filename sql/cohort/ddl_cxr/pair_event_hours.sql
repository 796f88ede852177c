-- Grain: one row per pair further apart than the minimum gap with a measurement in its window.
-- Hours are counted from the first measurement in the window, [k, k + 1); event_hours is how many of
-- them hold a measurement. The authors' code subtracts hours since ICU admission as floats that it
-- has read from a csv file (published_hour), so that a whole hour may fall short of itself.
SELECT
    pair_id
    , COUNT(DISTINCT COALESCE(
        FLOOR(hours - first_hours)
        , DATE_DIFF('microsecond', first_at, event_at) // 3600000000
    )) AS event_hours
FROM (
    SELECT
        sample_window.key AS pair_id
        , measurement.event_at
        , published_hour.hours
        , MIN(measurement.event_at) OVER (PARTITION BY measurement.window_number) AS first_at
        , MIN_BY(published_hour.hours, measurement.event_at)
            OVER (PARTITION BY measurement.window_number)
            AS first_hours
    FROM windowed_measurement AS measurement
    INNER JOIN sample_window
        ON measurement.window_number = sample_window.window_number
    LEFT JOIN published_hour
        ON DATE_DIFF('second', sample_window.intime, measurement.event_at) = published_hour.seconds
    WHERE NOT measurement.is_carried
) AS measured
GROUP BY pair_id
ORDER BY pair_id
