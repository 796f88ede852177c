-- Grain: one row per film that its study is seen by, with its place in its admission, from 1.
-- stay_id: the ICU stay whose [intime, outtime] it was taken in; the later begun of two.
SELECT
    film.dicom_id
    , film.subject_id
    , film.study_id
    , film.view
    , film.taken_at
    , film.hadm_id
    , in_icu.stay_id
    , ROW_NUMBER() OVER (PARTITION BY film.hadm_id ORDER BY film.taken_at, film.study_id) AS place
FROM study_film AS film
LEFT JOIN (
    SELECT
        candidate.dicom_id
        , MAX_BY(icustays.stay_id, (icustays.intime, icustays.stay_id)) AS stay_id
    FROM study_film AS candidate
    INNER JOIN icustays
        ON
            candidate.hadm_id = icustays.hadm_id
            AND candidate.taken_at BETWEEN icustays.intime AND icustays.outtime
    WHERE candidate.drop_reason IS NULL
    GROUP BY candidate.dicom_id
) AS in_icu
    ON film.dicom_id = in_icu.dicom_id
WHERE film.drop_reason IS NULL
ORDER BY hadm_id, place
