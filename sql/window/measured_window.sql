-- Grain: one row per window: its origin, and what of its measurements became hourly values.
SELECT
    window_origin.window_number
    , window_origin.origin_at
    , MAX(hourly_value.hour) AS last_hour
    , MAX(hourly_value.latest_event_at) AS latest_event_at
    , MAX(hourly_value.latest_known_at) AS latest_known_at
    , COUNT(hourly_value.hour) AS hourly_values
    , CAST(COALESCE(SUM(hourly_value.measurements), 0) AS BIGINT) AS measurements
FROM window_origin
LEFT JOIN hourly_value
    ON window_origin.window_number = hourly_value.window_number
GROUP BY
    window_origin.window_number
    , window_origin.origin_at
ORDER BY window_number
