-- Grain: one row per diagnoses_icd row: DIAGNOSIS//ICD//<version>//<code>, at discharge, when it
-- is coded.
SELECT
    diagnosis.subject_id
    , diagnosis.hadm_id
    , admission.dischtime AS event_at
    , admission.dischtime AS known_at
    , 'DIAGNOSIS//ICD//' || COALESCE(CAST(diagnosis.icd_version AS VARCHAR), 'UNK')
    || '//' || COALESCE(NULLIF(TRIM(diagnosis.icd_code), ''), 'UNK') AS code
    , CAST(NULL AS FLOAT) AS numeric_value
    , CAST(NULL AS VARCHAR) AS text_value
    , diagnosis.source_row
    , CASE
        WHEN admission.dischtime IS NULL THEN '01 no discharge of its admission'
    END AS drop_reason
FROM diagnoses_icd AS diagnosis
LEFT JOIN admissions AS admission
    ON diagnosis.hadm_id = admission.hadm_id
ORDER BY subject_id, source_row
