-- Grain: no row; the columns and types of the image samples of a recipe without them.
SELECT
    CAST(NULL AS VARCHAR) AS key
    , CAST(NULL AS BIGINT) AS subject_id
    , CAST(NULL AS BIGINT) AS study_id
    , CAST(NULL AS VARCHAR) AS dicom_id
    , CAST(NULL AS TIMESTAMP) AS taken_at
    , CAST(NULL AS VARCHAR) AS view
    , CAST(NULL AS BIGINT) AS age
    , CAST(NULL AS VARCHAR) AS sex
    , CAST(NULL AS DOUBLE) AS is_male
    , CAST(NULL AS DOUBLE) AS is_ap
    , CAST(NULL AS DOUBLE) AS bmi
    , CAST(NULL AS DOUBLE) AS systolic
    , CAST(NULL AS DOUBLE) AS diastolic
    , CAST(NULL AS DOUBLE) AS height
    , CAST(NULL AS DOUBLE) AS weight
    , CAST(NULL AS VARCHAR) AS drop_reason
WHERE FALSE
ORDER BY key
