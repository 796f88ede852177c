-- Grain: one row per (window_number, measurement in the window).
-- Window: [window_start_at, window_end_at], each end only if includes_start and includes_end. What is
-- compared with the end is when a value was measured or, as-of, when the chart could have shown it.
-- A height from before the window, of the same admission, is carried into it ($height_carried).
-- Whose measurement: the stay's own and the laboratory's of its admission; without $labs_by_time as
-- the authors' code has it (specs ddl-cxr 2.4): those given the stay, and any of the patient between
-- ICU admission and discharge.
SELECT
    sample_window.window_number
    , measurement.event_at
    , measurement.known_at
    , CAST(measurement.variable AS contract_variable) AS variable
    , measurement.value
    , measurement.charted
    , measurement.event_at < sample_window.window_start_at AS is_carried
FROM sample_window
INNER JOIN measurement
    ON
        sample_window.subject_id = measurement.subject_id
        AND CASE
            WHEN $labs_by_time
                THEN
                    sample_window.hadm_id = measurement.hadm_id
                    AND (
                        measurement.stay_id IS NULL
                        OR sample_window.stay_id = measurement.stay_id
                    )
            ELSE
                sample_window.stay_id = measurement.stay_id
                OR measurement.event_at BETWEEN sample_window.intime AND sample_window.outtime
        END
        AND (
            measurement.event_at > sample_window.window_start_at
            OR (
                sample_window.includes_start
                AND measurement.event_at = sample_window.window_start_at
            )
            OR ($height_carried AND measurement.variable = 'Height')
        )
        AND CASE
            WHEN $availability = 'known' THEN measurement.known_at
            ELSE measurement.event_at
        END <= sample_window.window_end_at
        AND (
            sample_window.includes_end
            OR CASE
                WHEN $availability = 'known' THEN measurement.known_at
                ELSE measurement.event_at
            END < sample_window.window_end_at
        )
ORDER BY window_number, event_at, known_at, variable, value, charted
