-- Grain: one row per film with a time, dropped ones with a reason.
-- Radiology pre-training (specs fusion-baselines 4.4, 5): every film of a labelled study, of any view
-- and date, also of patients without a stay; those of patients in valid and test are in valid and
-- test. The age is that at the film; view is '' where the film list names none.
SELECT
    LEFT(SHA256(CONCAT_WS('|', 'image', film.dicom_id)), 16) AS key
    , film.subject_id
    , film.study_id
    , film.dicom_id
    , film.taken_at
    , COALESCE(film.view, '') AS view
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
            film.study_id NOT IN (SELECT finding.study_id FROM cxr_finding AS finding)
            THEN '01 study without labels'
        WHEN
            patients.anchor_age + YEAR(film.taken_at) - patients.anchor_year IS NULL
            OR patients.gender IS NULL
            THEN '02 patient of unknown age or sex'
    END AS drop_reason
FROM taken_film AS film
LEFT JOIN patients
    ON film.subject_id = patients.subject_id
WHERE film.drop_reason IS NULL
ORDER BY key
