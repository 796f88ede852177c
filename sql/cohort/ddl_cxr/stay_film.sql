-- Grain: one row per (film, stay of its patient), or one per film whose patient has no stay in the
-- cohort; dropped ones with a reason.
-- Interval: [intime + film_from_hours, intime + film_to_hours], both ends included. A film may
-- belong to two stays.
SELECT
    film.dicom_id
    , film.study_id
    , film.view
    , film.taken_at
    , film.source_row
    , stay.subject_id
    , stay.hadm_id
    , stay.stay_id
    , stay.intime
    , stay.outtime
    , stay.age
    , stay.sex
    , stay.died_in_hospital
    , CASE
        WHEN stay.stay_id IS NULL THEN '01 patient without a stay in the cohort'
        WHEN
            film.taken_at < stay.intime + TO_SECONDS($film_from_hours * 3600)
            THEN '02 taken too long before the ICU admission'
        WHEN
            film.taken_at > stay.intime + TO_SECONDS($film_to_hours * 3600)
            THEN '03 taken after the prediction time'
    END AS drop_reason
FROM study_film AS film
LEFT JOIN (
    SELECT *
    FROM stay
    WHERE drop_reason IS NULL
) AS stay
    ON film.subject_id = stay.subject_id
WHERE film.drop_reason IS NULL
ORDER BY dicom_id, stay_id
