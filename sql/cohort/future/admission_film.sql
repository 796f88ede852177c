-- Grain: one row per frontal film, dropped ones with a reason.
-- Interval: [begins_at, dischtime], both ends included. Of two admissions the later begun wins.
SELECT
    film.dicom_id
    , film.subject_id
    , film.study_id
    , film.view
    , film.taken_at
    , film.source_row
    , admission.hadm_id
    , CASE WHEN admission.hadm_id IS NULL THEN '01 taken during no admission of the cohort' END
        AS drop_reason
FROM frontal_film AS film
LEFT JOIN (
    SELECT
        candidate.dicom_id
        , MAX_BY(stay.hadm_id, (stay.begins_at, stay.hadm_id)) AS hadm_id
    FROM frontal_film AS candidate
    INNER JOIN hospital_stay AS stay
        ON
            candidate.subject_id = stay.subject_id
            AND candidate.taken_at BETWEEN stay.begins_at AND stay.dischtime
    WHERE stay.drop_reason IS NULL
    GROUP BY candidate.dicom_id
) AS admission
    ON film.dicom_id = admission.dicom_id
WHERE film.drop_reason IS NULL
ORDER BY dicom_id
