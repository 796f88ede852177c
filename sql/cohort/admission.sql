-- Grain: one row per hadm_id of the hospital.
-- Age at admission (anchor_age is the age in anchor_year). Died in hospital: deathtime within
-- [admittime, dischtime], or dod, which is a date, within their days; both ends included.
SELECT
    admissions.subject_id
    , admissions.hadm_id
    , admissions.admittime
    , admissions.dischtime
    , patients.anchor_age
    + YEAR(admissions.admittime) - patients.anchor_year AS age
    , patients.gender AS sex
    , COALESCE(
        admissions.deathtime BETWEEN admissions.admittime AND admissions.dischtime, FALSE
    )
    OR COALESCE(
        patients.dod
        BETWEEN CAST(admissions.admittime AS DATE) AND CAST(admissions.dischtime AS DATE)
        , FALSE
    ) AS died_in_hospital
FROM admissions
LEFT JOIN patients
    ON admissions.subject_id = patients.subject_id
ORDER BY hadm_id
