-- Grain: one row per patient: GENDER//<F, M>, without a time.
SELECT
    subject_id
    , CAST(NULL AS BIGINT) AS hadm_id
    , CAST(NULL AS TIMESTAMP) AS event_at
    , CAST(NULL AS TIMESTAMP) AS known_at
    , 'GENDER//' || COALESCE(NULLIF(TRIM(gender), ''), 'UNK') AS code
    , CAST(NULL AS FLOAT) AS numeric_value
    , CAST(NULL AS VARCHAR) AS text_value
    , source_row
    , CAST(NULL AS VARCHAR) AS drop_reason
FROM patients
ORDER BY subject_id, source_row
