-- Grain: one row per window; hours are counted from origin_at.
-- Pair: the first measurement in [window_start_at, window_end_at] (the published "relative" start),
-- null if there is none. Stay: the start itself. The end belongs to the window if $includes_end.
SELECT
    sample_window.window_number
    , CASE
        WHEN sample_window.kind = 'stay' THEN sample_window.window_start_at
        ELSE MIN(measurement.event_at)
    END AS origin_at
FROM sample_window
LEFT JOIN measurement
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
GROUP BY
    sample_window.window_number
    , sample_window.kind
    , sample_window.window_start_at
ORDER BY window_number
