-- Grain: one row per frontal film, dropped ones with a reason.
-- A film needs all five values (complete case); 0 is a missing one, as published. A value that
-- is null though a row was found is text that the published table holds as it stands.
-- age: at the film with $age_at_film, else in the patient's anchor_year.
SELECT
    LEFT(SHA256(CONCAT_WS('|', 'image', film.dicom_id)), 16) AS key
    , film.subject_id
    , film.study_id
    , film.dicom_id
    , film.taken_at
    , film.view
    , CASE
        WHEN $age_at_film
            THEN patients.anchor_age + YEAR(film.taken_at) - patients.anchor_year
        ELSE patients.anchor_age
    END AS age
    , patients.gender AS sex
    , CAST(patients.gender = 'M' AS DOUBLE) AS is_male
    , CAST(film.view = 'AP' AS DOUBLE) AS is_ap
    , bmi.number AS bmi
    , systolic.number AS systolic
    , diastolic.number AS diastolic
    , height.number AS height
    , weight.number AS weight
    , CASE
        WHEN
            (patients.gender IN ('F', 'M') AND age IS NOT NULL) IS NOT TRUE
            THEN '01 unknown patient, sex or age'
        WHEN
            film.study_id NOT IN (SELECT finding.study_id FROM cxr_finding AS finding)
            THEN '02 study without labels'
        WHEN bmi.dicom_id IS NULL OR bmi.number = 0 THEN '03 no BMI'
        WHEN systolic.dicom_id IS NULL OR systolic.number = 0 THEN '04 no systolic pressure'
        WHEN diastolic.dicom_id IS NULL OR diastolic.number = 0 THEN '05 no diastolic pressure'
        WHEN height.dicom_id IS NULL OR height.number = 0 THEN '06 no height'
        WHEN weight.dicom_id IS NULL OR weight.number = 0 THEN '07 no weight'
    END AS drop_reason
FROM frontal_film AS film
LEFT JOIN patients
    ON film.subject_id = patients.subject_id
LEFT JOIN film_number AS bmi
    ON film.dicom_id = bmi.dicom_id AND bmi.name = 'bmi'
LEFT JOIN film_number AS systolic
    ON film.dicom_id = systolic.dicom_id AND systolic.name = 'systolic'
LEFT JOIN film_number AS diastolic
    ON film.dicom_id = diastolic.dicom_id AND diastolic.name = 'diastolic'
LEFT JOIN film_number AS height
    ON film.dicom_id = height.dicom_id AND height.name = 'height'
LEFT JOIN film_number AS weight
    ON film.dicom_id = weight.dicom_id AND weight.name = 'weight'
WHERE film.drop_reason IS NULL
ORDER BY key
