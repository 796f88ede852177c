-- Grain: one row per (window_number, measurement of its admission in the window).
-- Window: [window_start_at, window_end_at). What decides is when the chart could have shown it, or, if
-- $availability is 'event', when it was. A moment belongs from the start on; what runs belongs too if
-- it began before the start and ends after it.
-- begins, ends, window_length: microseconds after the window's start.
SELECT
    sample_window.window_number
    , measurement.event_at
    , measurement.ends_at
    , measurement.known_at
    , CAST(measurement.variable AS contract_variable) AS variable
    , measurement.value
    , DATE_DIFF('microsecond', sample_window.window_start_at, measurement.event_at) AS begins
    , DATE_DIFF('microsecond', sample_window.window_start_at, measurement.ends_at) AS ends
    , DATE_DIFF('microsecond', sample_window.window_start_at, sample_window.window_end_at)
        AS window_length
FROM sample_window
INNER JOIN measurement
    ON
        sample_window.hadm_id = measurement.hadm_id
        AND CASE
            WHEN $availability = 'known' THEN measurement.known_at
            ELSE measurement.event_at
        END < sample_window.window_end_at
        AND (
            CASE
                WHEN $availability = 'known' THEN measurement.known_at
                ELSE measurement.event_at
            END >= sample_window.window_start_at
            OR measurement.ends_at > sample_window.window_start_at
        )
ORDER BY window_number, event_at, known_at, variable, value
