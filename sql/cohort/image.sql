-- Grain: one row per key, that is per film.
SELECT
    sample.key
    , assigned.split
    , sample.subject_id
    , sample.study_id
    , sample.dicom_id
    , sample.taken_at
    , sample.view
    , sample.age
    , sample.sex
FROM image_sample AS sample
INNER JOIN assigned
    ON sample.subject_id = assigned.subject_id
WHERE sample.drop_reason IS NULL
ORDER BY key
