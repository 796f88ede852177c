-- Grain: one row per (kind, key, hour) in which anything was measured or ran.
-- Hours are [k, k + 1) after the window's start. One column a variable of the set wide, null where it
-- was not measured. All output is urine and what else came out; balance is intake less all output.
-- Sums are of decimals: exact, so the order of rows means nothing.
SELECT
    sample_window.kind
    , sample_window.key
    , pivoted.* EXCLUDE (window_number)
FROM (
    SELECT
        window_number
        , hour
        , MAX(value) FILTER (WHERE variable = 'Heart Rate')
            AS "Heart Rate"
        , MAX(value) FILTER (WHERE variable = 'Respiratory rate')
            AS "Respiratory rate"
        , MAX(value) FILTER (WHERE variable = 'Oxygen saturation')
            AS "Oxygen saturation"
        , MAX(value) FILTER (WHERE variable = 'Temperature')
            AS "Temperature"
        , MAX(value) FILTER (WHERE variable = 'Systolic blood pressure')
            AS "Systolic blood pressure"
        , MAX(value) FILTER (WHERE variable = 'Diastolic blood pressure')
            AS "Diastolic blood pressure"
        , MAX(value) FILTER (WHERE variable = 'Mean blood pressure')
            AS "Mean blood pressure"
        , MAX(value) FILTER (WHERE variable = 'Central venous pressure')
            AS "Central venous pressure"
        , MAX(value) FILTER (WHERE variable = 'GCS eye opening')
            AS "GCS eye opening"
        , MAX(value) FILTER (WHERE variable = 'GCS motor response')
            AS "GCS motor response"
        , MAX(value) FILTER (WHERE variable = 'GCS verbal response')
            AS "GCS verbal response"
        , MAX(value) FILTER (WHERE variable = 'GCS total')
            AS "GCS total"
        , MAX(value) FILTER (WHERE variable = 'RASS')
            AS "RASS"
        , MAX(value) FILTER (WHERE variable = 'Fraction inspired oxygen')
            AS "Fraction inspired oxygen"
        , MAX(value) FILTER (WHERE variable = 'Oxygen flow')
            AS "Oxygen flow"
        , MAX(value) FILTER (WHERE variable = 'PEEP')
            AS "PEEP"
        , MAX(value) FILTER (WHERE variable = 'Tidal volume set')
            AS "Tidal volume set"
        , MAX(value) FILTER (WHERE variable = 'Tidal volume observed')
            AS "Tidal volume observed"
        , MAX(value) FILTER (WHERE variable = 'Minute volume')
            AS "Minute volume"
        , MAX(value) FILTER (WHERE variable = 'Respiratory rate set')
            AS "Respiratory rate set"
        , MAX(value) FILTER (WHERE variable = 'Peak inspiratory pressure')
            AS "Peak inspiratory pressure"
        , MAX(value) FILTER (WHERE variable = 'Plateau pressure')
            AS "Plateau pressure"
        , MAX(value) FILTER (WHERE variable = 'Mean airway pressure')
            AS "Mean airway pressure"
        , MAX(value) FILTER (WHERE variable = 'pH')
            AS "pH"
        , MAX(value) FILTER (WHERE variable = 'PaO2')
            AS "PaO2"
        , MAX(value) FILTER (WHERE variable = 'PaCO2')
            AS "PaCO2"
        , MAX(value) FILTER (WHERE variable = 'Base excess')
            AS "Base excess"
        , MAX(value) FILTER (WHERE variable = 'Calculated total CO2')
            AS "Calculated total CO2"
        , MAX(value) FILTER (WHERE variable = 'Lactate')
            AS "Lactate"
        , MAX(value) FILTER (WHERE variable = 'SaO2')
            AS "SaO2"
        , MAX(value) FILTER (WHERE variable = 'Sodium')
            AS "Sodium"
        , MAX(value) FILTER (WHERE variable = 'Potassium')
            AS "Potassium"
        , MAX(value) FILTER (WHERE variable = 'Chloride')
            AS "Chloride"
        , MAX(value) FILTER (WHERE variable = 'Bicarbonate')
            AS "Bicarbonate"
        , MAX(value) FILTER (WHERE variable = 'Urea nitrogen')
            AS "Urea nitrogen"
        , MAX(value) FILTER (WHERE variable = 'Creatinine')
            AS "Creatinine"
        , MAX(value) FILTER (WHERE variable = 'Glucose')
            AS "Glucose"
        , MAX(value) FILTER (WHERE variable = 'Calcium')
            AS "Calcium"
        , MAX(value) FILTER (WHERE variable = 'Ionised calcium')
            AS "Ionised calcium"
        , MAX(value) FILTER (WHERE variable = 'Magnesium')
            AS "Magnesium"
        , MAX(value) FILTER (WHERE variable = 'Phosphate')
            AS "Phosphate"
        , MAX(value) FILTER (WHERE variable = 'Anion gap')
            AS "Anion gap"
        , MAX(value) FILTER (WHERE variable = 'Albumin')
            AS "Albumin"
        , MAX(value) FILTER (WHERE variable = 'Bilirubin')
            AS "Bilirubin"
        , MAX(value) FILTER (WHERE variable = 'AST')
            AS "AST"
        , MAX(value) FILTER (WHERE variable = 'ALT')
            AS "ALT"
        , MAX(value) FILTER (WHERE variable = 'Alkaline phosphatase')
            AS "Alkaline phosphatase"
        , MAX(value) FILTER (WHERE variable = 'LDH')
            AS "LDH"
        , MAX(value) FILTER (WHERE variable = 'Troponin T')
            AS "Troponin T"
        , MAX(value) FILTER (WHERE variable = 'NT-proBNP')
            AS "NT-proBNP"
        , MAX(value) FILTER (WHERE variable = 'Creatine kinase')
            AS "Creatine kinase"
        , MAX(value) FILTER (WHERE variable = 'Creatine kinase MB')
            AS "Creatine kinase MB"
        , MAX(value) FILTER (WHERE variable = 'C-reactive protein')
            AS "C-reactive protein"
        , MAX(value) FILTER (WHERE variable = 'White blood cells')
            AS "White blood cells"
        , MAX(value) FILTER (WHERE variable = 'Haemoglobin')
            AS "Haemoglobin"
        , MAX(value) FILTER (WHERE variable = 'Haematocrit')
            AS "Haematocrit"
        , MAX(value) FILTER (WHERE variable = 'Platelets')
            AS "Platelets"
        , MAX(value) FILTER (WHERE variable = 'Neutrophils')
            AS "Neutrophils"
        , MAX(value) FILTER (WHERE variable = 'Lymphocytes')
            AS "Lymphocytes"
        , MAX(value) FILTER (WHERE variable = 'INR')
            AS "INR"
        , MAX(value) FILTER (WHERE variable = 'Prothrombin time')
            AS "Prothrombin time"
        , MAX(value) FILTER (WHERE variable = 'Partial thromboplastin time')
            AS "Partial thromboplastin time"
        , MAX(value) FILTER (WHERE variable = 'Fibrinogen')
            AS "Fibrinogen"
        , MAX(value) FILTER (WHERE variable = 'D-dimer')
            AS "D-dimer"
        , MAX(value) FILTER (WHERE variable = 'Urine output')
            AS "Urine output"
        , MAX(value) FILTER (WHERE variable = 'Fluid intake')
            AS "Fluid intake"
        , CAST(
            SUM(CAST(value AS DECIMAL(18, 9)))
            FILTER (WHERE variable IN ('Urine output', 'Fluid output')) AS DOUBLE
        )
            AS "Fluid output"
        , CAST(
            SUM(
                CASE
                    WHEN variable = 'Fluid intake' THEN CAST(value AS DECIMAL(18, 9))
                    WHEN
                        variable IN ('Urine output', 'Fluid output')
                        THEN -CAST(value AS DECIMAL(18, 9))
                END
            ) AS DOUBLE
        ) AS "Fluid balance"
        , MAX(value) FILTER (WHERE variable = 'Vasopressors')
            AS "Vasopressors"
        , MAX(value) FILTER (WHERE variable = 'Weight')
            AS "Weight"
        , MAX(value) FILTER (WHERE variable = 'Height')
            AS "Height"
    FROM hourly_value
    GROUP BY
        window_number
        , hour
) AS pivoted
INNER JOIN sample_window
    ON pivoted.window_number = sample_window.window_number
ORDER BY kind, key, hour
