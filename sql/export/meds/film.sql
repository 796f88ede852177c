-- Grain: one row per film: CXR//STUDY//<view>; text_value: its path in MIMIC-CXR-JPG.
SELECT
    subject_id
    , CAST(NULL AS BIGINT) AS hadm_id
    , taken_at AS event_at
    , taken_at AS known_at
    , 'CXR//STUDY//' || COALESCE(NULLIF(TRIM(view), ''), 'UNK') AS code
    , CAST(NULL AS FLOAT) AS numeric_value
    , 'files/p' || LEFT(CAST(subject_id AS VARCHAR), 2)
    || '/p' || subject_id
    || '/s' || study_id
    || '/' || dicom_id || '.jpg' AS text_value
    , source_row
    , drop_reason
FROM taken_film
ORDER BY subject_id, source_row
