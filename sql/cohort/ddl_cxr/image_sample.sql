-- Grain: one row per AP film, dropped ones with a reason.
-- Every AP film, of any date, of a patient who has a pair. The age is that at the film.
SELECT
    LEFT(SHA256(CONCAT_WS('|', 'image', film.dicom_id)), 16) AS key
    , film.subject_id
    , film.study_id
    , film.dicom_id
    , film.taken_at
    , film.view
    , patients.anchor_age + YEAR(film.taken_at) - patients.anchor_year AS age
    , patients.gender AS sex
    , CAST(NULL AS DOUBLE) AS is_male
    , CAST(NULL AS DOUBLE) AS is_ap
    , CAST(NULL AS DOUBLE) AS bmi
    , CAST(NULL AS DOUBLE) AS systolic
    , CAST(NULL AS DOUBLE) AS diastolic
    , CAST(NULL AS DOUBLE) AS height
    , CAST(NULL AS DOUBLE) AS weight
    , CASE
        WHEN
            film.subject_id NOT IN (
                SELECT subject_id
                FROM pair_sample
                WHERE drop_reason IS NULL
            )
            THEN '01 patient without a pair'
    END AS drop_reason
FROM ap_film AS film
LEFT JOIN patients
    ON film.subject_id = patients.subject_id
WHERE film.drop_reason IS NULL
ORDER BY key
