-- Grain: one row per (kind, key, hour) in which anything was measured.
-- Hours are (k, k + 1] after the origin of the window, the origin itself in hour 0. One column a
-- variable of the contract, null where it was not measured in that hour.
SELECT
    sample_window.kind
    , sample_window.key
    , pivoted.* EXCLUDE (window_number)
FROM (
    SELECT
        window_number
        , hour
        , MAX(value) FILTER (WHERE variable = 'Capillary refill rate')
            AS "Capillary refill rate"
        , MAX(value) FILTER (WHERE variable = 'Diastolic blood pressure')
            AS "Diastolic blood pressure"
        , MAX(value) FILTER (WHERE variable = 'Fraction inspired oxygen')
            AS "Fraction inspired oxygen"
        , MAX(value) FILTER (WHERE variable = 'GCS eye opening')
            AS "GCS eye opening"
        , MAX(value) FILTER (WHERE variable = 'GCS motor response')
            AS "GCS motor response"
        , MAX(value) FILTER (WHERE variable = 'GCS total')
            AS "GCS total"
        , MAX(value) FILTER (WHERE variable = 'GCS verbal response')
            AS "GCS verbal response"
        , MAX(value) FILTER (WHERE variable = 'Glucose')
            AS "Glucose"
        , MAX(value) FILTER (WHERE variable = 'Heart Rate')
            AS "Heart Rate"
        , MAX(value) FILTER (WHERE variable = 'Height')
            AS "Height"
        , MAX(value) FILTER (WHERE variable = 'Mean blood pressure')
            AS "Mean blood pressure"
        , MAX(value) FILTER (WHERE variable = 'Oxygen saturation')
            AS "Oxygen saturation"
        , MAX(value) FILTER (WHERE variable = 'Respiratory rate')
            AS "Respiratory rate"
        , MAX(value) FILTER (WHERE variable = 'Systolic blood pressure')
            AS "Systolic blood pressure"
        , MAX(value) FILTER (WHERE variable = 'Temperature')
            AS "Temperature"
        , MAX(value) FILTER (WHERE variable = 'Weight')
            AS "Weight"
        , MAX(value) FILTER (WHERE variable = 'pH')
            AS "pH"
    FROM hourly_value
    GROUP BY
        window_number
        , hour
) AS pivoted
INNER JOIN sample_window
    ON pivoted.window_number = sample_window.window_number
ORDER BY kind, key, hour
