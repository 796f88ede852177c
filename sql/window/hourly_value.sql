-- Grain: one row per (window_number, hour, variable) with a measurement.
-- Window: [window_start_at, window_end_at], its end only if $includes_end. Hours are (k, k + 1]
-- after the origin, the origin itself in hour 0. The last value of an hour wins; of values at one
-- instant the largest as a number (for a category: the largest position).
SELECT
    sample_window.window_number
    , CAST(
        GREATEST(
            DATE_DIFF('microsecond', window_origin.origin_at, measurement.event_at) - 1, 0
        ) // 3600000000 AS INTEGER
    ) AS hour
    , measurement.variable
    , MAX_BY(measurement.value, (measurement.event_at, measurement.value)) AS value
    , COUNT(*) AS measurements
    , MAX(measurement.event_at) AS latest_event_at
    , MAX(measurement.known_at) AS latest_known_at
FROM sample_window
INNER JOIN window_origin
    ON sample_window.window_number = window_origin.window_number
INNER JOIN measurement
    ON
        sample_window.hadm_id = measurement.hadm_id
        AND (measurement.stay_id IS NULL OR sample_window.stay_id = measurement.stay_id)
        AND measurement.event_at >= sample_window.window_start_at
        AND CASE
            WHEN $availability = 'known' THEN measurement.known_at
            ELSE measurement.event_at
        END <= sample_window.window_end_at
        AND (
            $includes_end
            OR CASE
                WHEN $availability = 'known' THEN measurement.known_at
                ELSE measurement.event_at
            END < sample_window.window_end_at
        )
GROUP BY ALL
ORDER BY window_number, hour, variable
