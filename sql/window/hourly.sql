-- Grain: one row per (kind, key, hour) in which anything was measured.
-- Hours are (k, k + 1] after the origin of the window, the origin itself in hour 0. One column a
-- variable of the contract, null where it was not measured in that hour.
SELECT
    sample_window.kind
    , sample_window.key
    , hourly_value.hour
    , MAX(hourly_value.value)
        FILTER (WHERE hourly_value.variable = 'Capillary refill rate')
        AS "Capillary refill rate"
    , MAX(hourly_value.value)
        FILTER (WHERE hourly_value.variable = 'Diastolic blood pressure')
        AS "Diastolic blood pressure"
    , MAX(hourly_value.value)
        FILTER (WHERE hourly_value.variable = 'Fraction inspired oxygen')
        AS "Fraction inspired oxygen"
    , MAX(hourly_value.value)
        FILTER (WHERE hourly_value.variable = 'GCS eye opening')
        AS "GCS eye opening"
    , MAX(hourly_value.value)
        FILTER (WHERE hourly_value.variable = 'GCS motor response')
        AS "GCS motor response"
    , MAX(hourly_value.value)
        FILTER (WHERE hourly_value.variable = 'GCS total')
        AS "GCS total"
    , MAX(hourly_value.value)
        FILTER (WHERE hourly_value.variable = 'GCS verbal response')
        AS "GCS verbal response"
    , MAX(hourly_value.value)
        FILTER (WHERE hourly_value.variable = 'Glucose')
        AS "Glucose"
    , MAX(hourly_value.value)
        FILTER (WHERE hourly_value.variable = 'Heart Rate')
        AS "Heart Rate"
    , MAX(hourly_value.value)
        FILTER (WHERE hourly_value.variable = 'Height')
        AS "Height"
    , MAX(hourly_value.value)
        FILTER (WHERE hourly_value.variable = 'Mean blood pressure')
        AS "Mean blood pressure"
    , MAX(hourly_value.value)
        FILTER (WHERE hourly_value.variable = 'Oxygen saturation')
        AS "Oxygen saturation"
    , MAX(hourly_value.value)
        FILTER (WHERE hourly_value.variable = 'Respiratory rate')
        AS "Respiratory rate"
    , MAX(hourly_value.value)
        FILTER (WHERE hourly_value.variable = 'Systolic blood pressure')
        AS "Systolic blood pressure"
    , MAX(hourly_value.value)
        FILTER (WHERE hourly_value.variable = 'Temperature')
        AS "Temperature"
    , MAX(hourly_value.value)
        FILTER (WHERE hourly_value.variable = 'Weight')
        AS "Weight"
    , MAX(hourly_value.value)
        FILTER (WHERE hourly_value.variable = 'pH')
        AS "pH"
FROM hourly_value
INNER JOIN sample_window
    ON hourly_value.window_number = sample_window.window_number
GROUP BY
    sample_window.kind
    , sample_window.key
    , hourly_value.hour
ORDER BY kind, key, hour
