-- Grain: one row per (kind, key, hour) in which anything was measured or ran.
-- Hours are [k, k + 1) after the window's start. One column a variable of the set wide, null where it
-- was not measured. All output is urine and what else came out; balance is intake less all output.
-- Sums are of decimals: exact, so the order of rows means nothing.
SELECT
    sample_window.kind
    , sample_window.key
    , pivoted.hour
    , pivoted."Heart Rate"
    , pivoted."Respiratory rate"
    , pivoted."Oxygen saturation"
    , pivoted."Temperature"
    , pivoted."Systolic blood pressure"
    , pivoted."Diastolic blood pressure"
    , pivoted."Mean blood pressure"
    , pivoted."Central venous pressure"
    , pivoted."GCS eye opening"
    , pivoted."GCS motor response"
    , pivoted."GCS verbal response"
    , pivoted."GCS total"
    , pivoted."RASS"
    , pivoted."Fraction inspired oxygen"
    , pivoted."Oxygen flow"
    , pivoted."PEEP"
    , pivoted."Tidal volume set"
    , pivoted."Tidal volume observed"
    , pivoted."Minute volume"
    , pivoted."Respiratory rate set"
    , pivoted."Peak inspiratory pressure"
    , pivoted."Plateau pressure"
    , pivoted."Mean airway pressure"
    , pivoted."pH"
    , pivoted."PaO2"
    , pivoted."PaCO2"
    , pivoted."Base excess"
    , pivoted."Calculated total CO2"
    , pivoted."Lactate"
    , pivoted."SaO2"
    , pivoted."Sodium"
    , pivoted."Potassium"
    , pivoted."Chloride"
    , pivoted."Bicarbonate"
    , pivoted."Urea nitrogen"
    , pivoted."Creatinine"
    , pivoted."Glucose"
    , pivoted."Calcium"
    , pivoted."Ionised calcium"
    , pivoted."Magnesium"
    , pivoted."Phosphate"
    , pivoted."Anion gap"
    , pivoted."Albumin"
    , pivoted."Bilirubin"
    , pivoted."AST"
    , pivoted."ALT"
    , pivoted."Alkaline phosphatase"
    , pivoted."LDH"
    , pivoted."Troponin T"
    , pivoted."NT-proBNP"
    , pivoted."Creatine kinase"
    , pivoted."Creatine kinase MB"
    , pivoted."C-reactive protein"
    , pivoted."White blood cells"
    , pivoted."Haemoglobin"
    , pivoted."Haematocrit"
    , pivoted."Platelets"
    , pivoted."Neutrophils"
    , pivoted."Lymphocytes"
    , pivoted."INR"
    , pivoted."Prothrombin time"
    , pivoted."Partial thromboplastin time"
    , pivoted."Fibrinogen"
    , pivoted."D-dimer"
    , pivoted."Urine output"
    , pivoted."Fluid intake"
    , CAST(
        CASE
            WHEN "Urine output" IS NOT NULL OR "Fluid output" IS NOT NULL
                THEN
                    CAST(COALESCE("Urine output", 0) AS DECIMAL(18, 9))
                    + CAST(COALESCE("Fluid output", 0) AS DECIMAL(18, 9))
        END AS DOUBLE
    ) AS "Fluid output"
    , CAST(
        CASE
            WHEN
                "Urine output" IS NOT NULL
                OR "Fluid output" IS NOT NULL
                OR "Fluid intake" IS NOT NULL
                THEN
                    CAST(COALESCE("Fluid intake", 0) AS DECIMAL(18, 9))
                    - CAST(COALESCE("Urine output", 0) AS DECIMAL(18, 9))
                    - CAST(COALESCE("Fluid output", 0) AS DECIMAL(18, 9))
        END AS DOUBLE
    ) AS "Fluid balance"
    , pivoted."Vasopressors"
    , pivoted."Weight"
    , pivoted."Height"
FROM hourly_value
PIVOT (
    MAX(value)
    FOR variable IN (
        'Heart Rate'
        , 'Respiratory rate'
        , 'Oxygen saturation'
        , 'Temperature'
        , 'Systolic blood pressure'
        , 'Diastolic blood pressure'
        , 'Mean blood pressure'
        , 'Central venous pressure'
        , 'GCS eye opening'
        , 'GCS motor response'
        , 'GCS verbal response'
        , 'GCS total'
        , 'RASS'
        , 'Fraction inspired oxygen'
        , 'Oxygen flow'
        , 'PEEP'
        , 'Tidal volume set'
        , 'Tidal volume observed'
        , 'Minute volume'
        , 'Respiratory rate set'
        , 'Peak inspiratory pressure'
        , 'Plateau pressure'
        , 'Mean airway pressure'
        , 'pH'
        , 'PaO2'
        , 'PaCO2'
        , 'Base excess'
        , 'Calculated total CO2'
        , 'Lactate'
        , 'SaO2'
        , 'Sodium'
        , 'Potassium'
        , 'Chloride'
        , 'Bicarbonate'
        , 'Urea nitrogen'
        , 'Creatinine'
        , 'Glucose'
        , 'Calcium'
        , 'Ionised calcium'
        , 'Magnesium'
        , 'Phosphate'
        , 'Anion gap'
        , 'Albumin'
        , 'Bilirubin'
        , 'AST'
        , 'ALT'
        , 'Alkaline phosphatase'
        , 'LDH'
        , 'Troponin T'
        , 'NT-proBNP'
        , 'Creatine kinase'
        , 'Creatine kinase MB'
        , 'C-reactive protein'
        , 'White blood cells'
        , 'Haemoglobin'
        , 'Haematocrit'
        , 'Platelets'
        , 'Neutrophils'
        , 'Lymphocytes'
        , 'INR'
        , 'Prothrombin time'
        , 'Partial thromboplastin time'
        , 'Fibrinogen'
        , 'D-dimer'
        , 'Urine output'
        , 'Fluid intake'
        , 'Fluid output'
        , 'Vasopressors'
        , 'Weight'
        , 'Height'
    )
    GROUP BY window_number, hour
) AS pivoted
INNER JOIN sample_window
    ON pivoted.window_number = sample_window.window_number
ORDER BY kind, key, hour
