-- Grain: one row per key, that is per film.
-- is_male, age, is_ap, bmi, systolic, diastolic, height and weight are the static values of the
-- contract; but for the age, null where the recipe has none.
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
    , sample.is_male
    , sample.is_ap
    , sample.bmi
    , sample.systolic
    , sample.diastolic
    , sample.height
    , sample.weight
FROM image_sample AS sample
INNER JOIN assigned
    ON sample.subject_id = assigned.subject_id
WHERE sample.drop_reason IS NULL
ORDER BY key
