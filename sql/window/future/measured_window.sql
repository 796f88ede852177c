-- Grain: one row per window with a measurement: what of its measurements became hourly values.
-- ran_before: known in the window, but it had ended before the window's start.
SELECT
    counted.window_number
    , counted.measurements
    , counted.ran_before
    , COALESCE(kept.overtaken, 0) AS overtaken
    , kept.latest_event_at
    , kept.latest_known_at
FROM (
    SELECT
        window_number
        , COUNT(*) AS measurements
        , COUNT(*) FILTER (WHERE ends <= 0) AS ran_before
    FROM windowed_measurement
    GROUP BY window_number
) AS counted
LEFT JOIN (
    SELECT
        window_number
        , CAST(SUM(overtaken) AS BIGINT) AS overtaken
        , MAX(latest_event_at) AS latest_event_at
        , MAX(latest_known_at) AS latest_known_at
    FROM hourly_value
    GROUP BY window_number
) AS kept
    ON counted.window_number = kept.window_number
ORDER BY window_number
