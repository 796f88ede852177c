-- Grain: one row per patient: MEDS_BIRTH on 1 January of the year that anchor_age gives. Ages above
-- 89 are 91 in the tables.
SELECT
    subject_id
    , CAST(NULL AS BIGINT) AS hadm_id
    , CAST(MAKE_DATE(anchor_year - anchor_age, 1, 1) AS TIMESTAMP) AS event_at
    , CAST(MAKE_DATE(anchor_year - anchor_age, 1, 1) AS TIMESTAMP) AS known_at
    , 'MEDS_BIRTH' AS code
    , CAST(NULL AS FLOAT) AS numeric_value
    , CAST(NULL AS VARCHAR) AS text_value
    , source_row
    , CASE WHEN anchor_year IS NULL OR anchor_age IS NULL THEN '01 no time' END AS drop_reason
FROM patients
ORDER BY subject_id, source_row
