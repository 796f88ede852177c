-- Grain: no row; the columns and types of the stay samples of a recipe without them.
SELECT
    CAST(NULL AS VARCHAR) AS key
    , CAST(NULL AS BIGINT) AS subject_id
    , CAST(NULL AS BIGINT) AS hadm_id
    , CAST(NULL AS BIGINT) AS stay_id
    , CAST(NULL AS BIGINT) AS previous_study_id
    , CAST(NULL AS VARCHAR) AS previous_dicom_id
    , CAST(NULL AS TIMESTAMP) AS previous_at
    , CAST(NULL AS VARCHAR) AS previous_view
    , CAST(NULL AS TIMESTAMP) AS admitted_to_icu_at
    , CAST(NULL AS TIMESTAMP) AS window_start_at
    , CAST(NULL AS TIMESTAMP) AS prediction_at
    , CAST(NULL AS TIMESTAMP) AS window_end_at
    , CAST(NULL AS TIMESTAMP) AS generation_start_at
    , CAST(NULL AS BIGINT) AS age
    , CAST(NULL AS VARCHAR) AS sex
    , CAST(NULL AS BOOLEAN) AS died_in_hospital
    , CAST(NULL AS BOOLEAN) AS has_phenotypes
    , CAST(NULL AS DOUBLE) AS remaining_hours
    , CAST(NULL AS BOOLEAN) AS icu_transfer
    , CAST(NULL AS BOOLEAN) AS readmitted
    , CAST(NULL AS DOUBLE) AS label
    , CAST(NULL AS VARCHAR) AS drop_reason
WHERE FALSE
ORDER BY key
