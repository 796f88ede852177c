-- Grain: one row per patient with an admission: RACE//<race of the first>, without a time.
SELECT
    subject_id
    , CAST(NULL AS BIGINT) AS hadm_id
    , CAST(NULL AS TIMESTAMP) AS event_at
    , CAST(NULL AS TIMESTAMP) AS known_at
    , 'RACE//' || COALESCE(NULLIF(TRIM(race), ''), 'UNK') AS code
    , CAST(NULL AS FLOAT) AS numeric_value
    , CAST(NULL AS VARCHAR) AS text_value
    , source_row
    , CAST(NULL AS VARCHAR) AS drop_reason
FROM admissions
QUALIFY ROW_NUMBER() OVER (PARTITION BY subject_id ORDER BY admittime NULLS LAST, source_row) = 1
ORDER BY subject_id, source_row
