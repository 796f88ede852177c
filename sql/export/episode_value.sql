-- Grain: one row per (stay_id, event_at, variable): of values at one instant the one that wins, as
-- in window/hourly_value.sql. hours: since ICU admission, divided as the authors do, to the last bit.
SELECT
    sample_window.subject_id
    , sample_window.stay_id
    , CAST(DATE_DIFF('second', sample_window.intime, measurement.event_at) AS DOUBLE) / 60 / 60
        AS hours
    , measurement.variable
    , MAX_BY(
        measurement.value, (COALESCE(measurement.charted, ''), measurement.value)
    ) AS value
FROM windowed_measurement AS measurement
INNER JOIN sample_window
    ON measurement.window_number = sample_window.window_number
GROUP BY ALL
ORDER BY subject_id, stay_id, hours, variable
