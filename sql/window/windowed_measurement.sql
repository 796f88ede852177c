-- Grain: one row per (window_number, measurement in the window).
-- Window: [window_start_at, window_end_at], its end only if $includes_end. What is compared with the
-- end is when a value was measured or, as-of, when the chart could have shown it.
SELECT
    sample_window.window_number
    , measurement.event_at
    , measurement.known_at
    , measurement.variable
    , measurement.value
    , measurement.source
    , measurement.source_row
FROM sample_window
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
ORDER BY window_number, event_at, source, source_row
