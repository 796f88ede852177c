-- Grain: no row; the columns and types of the pair samples of a recipe without them.
SELECT
    CAST(NULL AS VARCHAR) AS pair_id
    , CAST(NULL AS BIGINT) AS subject_id
    , CAST(NULL AS BIGINT) AS hadm_id
    , CAST(NULL AS BIGINT) AS stay_id
    , CAST(NULL AS BIGINT) AS previous_study_id
    , CAST(NULL AS VARCHAR) AS previous_dicom_id
    , CAST(NULL AS TIMESTAMP) AS previous_at
    , CAST(NULL AS VARCHAR) AS previous_view
    , CAST(NULL AS BIGINT) AS target_study_id
    , CAST(NULL AS VARCHAR) AS target_dicom_id
    , CAST(NULL AS TIMESTAMP) AS target_at
    , CAST(NULL AS VARCHAR) AS target_view
    , CAST(NULL AS BIGINT) AS age
    , CAST(NULL AS VARCHAR) AS sex
    , CAST(NULL AS BOOLEAN) AS died_in_hospital
    , CAST(NULL AS INTEGER) AS event_hours
    , CAST(NULL AS BOOLEAN) AS is_null_event
    , CAST(NULL AS VARCHAR) AS drop_reason
WHERE FALSE
ORDER BY pair_id
