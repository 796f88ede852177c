-- Grain: one row per (kind, key, hour) in which anything was measured or ran.
-- Hours are [k, k + 1) after the window's start. One column a variable of the set wide, null where it
-- was not measured. All output is urine and what else came out; balance is intake less all output.
-- Sums are of decimals: exact, so the order of rows means nothing.
SELECT
    sample_window.kind
    , sample_window.key
    , pivoted.* EXCLUDE (window_number)
    REPLACE (
        CAST(
            CASE
                WHEN pivoted."Urine output" IS NOT NULL OR pivoted."Fluid output" IS NOT NULL
                    THEN
                        CAST(COALESCE(pivoted."Urine output", 0) AS DECIMAL(18, 9))
                        + CAST(COALESCE(pivoted."Fluid output", 0) AS DECIMAL(18, 9))
            END AS DOUBLE
        ) AS "Fluid output"
        , CAST(
            CASE
                WHEN
                    pivoted."Urine output" IS NOT NULL
                    OR pivoted."Fluid output" IS NOT NULL
                    OR pivoted."Fluid intake" IS NOT NULL
                    THEN
                        CAST(COALESCE(pivoted."Fluid intake", 0) AS DECIMAL(18, 9))
                        - CAST(COALESCE(pivoted."Urine output", 0) AS DECIMAL(18, 9))
                        - CAST(COALESCE(pivoted."Fluid output", 0) AS DECIMAL(18, 9))
            END AS DOUBLE
        ) AS "Fluid balance"
    )
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
        , 'Fluid balance'
        , 'Vasopressors'
        , 'Weight'
        , 'Height'
    )
    GROUP BY window_number, hour
) AS pivoted
INNER JOIN sample_window
    ON pivoted.window_number = sample_window.window_number
ORDER BY kind, key, hour
