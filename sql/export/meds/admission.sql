-- Grain: one row per admission and edge: ED_REGISTRATION and ED_OUT where there was an emergency
-- department,
-- HOSPITAL_ADMISSION//<type>//<location> and HOSPITAL_DISCHARGE//<location>.
SELECT
    subject_id
    , hadm_id
    , edge_at AS event_at
    , edge_at AS known_at
    , code
    , CAST(NULL AS FLOAT) AS numeric_value
    , CAST(NULL AS VARCHAR) AS text_value
    , source_row
    , CASE WHEN edge_at IS NULL THEN '01 no time' END AS drop_reason
FROM (
    SELECT
        subject_id
        , hadm_id
        , edregtime AS edge_at
        , 'ED_REGISTRATION' AS code
        , source_row
    FROM admissions
    WHERE edregtime IS NOT NULL
    UNION ALL
    SELECT
        subject_id
        , hadm_id
        , edouttime AS edge_at
        , 'ED_OUT' AS code
        , source_row
    FROM admissions
    WHERE edouttime IS NOT NULL
    UNION ALL
    SELECT
        subject_id
        , hadm_id
        , admittime AS edge_at
        , 'HOSPITAL_ADMISSION//' || COALESCE(NULLIF(TRIM(admission_type), ''), 'UNK')
        || '//' || COALESCE(NULLIF(TRIM(admission_location), ''), 'UNK') AS code
        , source_row
    FROM admissions
    UNION ALL
    SELECT
        subject_id
        , hadm_id
        , dischtime AS edge_at
        , 'HOSPITAL_DISCHARGE//' || COALESCE(NULLIF(TRIM(discharge_location), ''), 'UNK') AS code
        , source_row
    FROM admissions
) AS edge
ORDER BY subject_id, source_row, code
