-- Grain: one row per (film, admission of its patient), or one per film whose patient has no
-- admission in the cohort; dropped ones with a reason.
-- Interval: (admittime, dischtime], where discharge is cut to whole minutes after admission unless
-- $discharge_to_the_second. A film may belong to two admissions that overlap.
SELECT
    film.dicom_id
    , film.study_id
    , film.view
    , film.taken_at
    , film.source_row
    , film.study_began_at
    , admission.subject_id
    , admission.hadm_id
    , admission.age
    , admission.sex
    , admission.died_in_hospital
    , CASE
        WHEN admission.hadm_id IS NULL THEN '01 patient without an admission in the cohort'
        WHEN film.taken_at <= admission.admittime THEN '02 not taken after admission'
        WHEN
            film.taken_at > CASE
                WHEN $discharge_to_the_second THEN admission.dischtime
                ELSE
                    admission.admittime
                    + TO_MINUTES(
                        DATE_DIFF('microsecond', admission.admittime, admission.dischtime)
                        // 60000000
                    )
            END
            THEN '03 taken after discharge'
    END AS drop_reason
FROM frontal_film AS film
LEFT JOIN (
    SELECT *
    FROM cohort_admission
    WHERE drop_reason IS NULL
) AS admission
    ON film.subject_id = admission.subject_id
WHERE film.drop_reason IS NULL
ORDER BY dicom_id, hadm_id
