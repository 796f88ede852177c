-- Grain: one row per (sample, film) whose film is unknown or not of its patient, study and time.
SELECT
    sample.key
    , sample.dicom_id
FROM (
    SELECT
        pair_id AS key
        , subject_id
        , previous_study_id AS study_id
        , previous_dicom_id AS dicom_id
        , previous_at AS taken_at
    FROM pair
    UNION ALL
    SELECT
        pair_id AS key
        , subject_id
        , target_study_id AS study_id
        , target_dicom_id AS dicom_id
        , target_at AS taken_at
    FROM pair
    UNION ALL
    SELECT
        key
        , subject_id
        , previous_study_id AS study_id
        , previous_dicom_id AS dicom_id
        , previous_at AS taken_at
    FROM stay
    WHERE previous_dicom_id IS NOT NULL
    UNION ALL
    SELECT
        key
        , subject_id
        , study_id
        , dicom_id
        , taken_at
    FROM image
) AS sample
LEFT JOIN film
    ON sample.dicom_id = film.dicom_id
WHERE
    sample.subject_id IS DISTINCT FROM film.subject_id
    OR sample.study_id IS DISTINCT FROM film.study_id
    OR sample.taken_at IS DISTINCT FROM film.taken_at
ORDER BY key, dicom_id
