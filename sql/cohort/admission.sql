-- Grain: one row per hadm_id of the hospital.
-- age: at admission (anchor_age is the age in anchor_year). died_in_hospital: by deathtime, which
-- only those have who died in hospital, now and then some hours after their discharge; without one
-- by dod, which is a date, within [admittime, dischtime] in whole days, both ends included.
-- died_as_published: deathtime or the midnight of dod within [admittime, dischtime] (specs ddl-cxr
-- 4.3).
SELECT
    admissions.subject_id
    , admissions.hadm_id
    , admissions.admittime
    , admissions.dischtime
    , admissions.deathtime
    , patients.dod
    , patients.anchor_age
    , patients.anchor_age
    + YEAR(admissions.admittime) - patients.anchor_year AS age
    , patients.gender AS sex
    , COALESCE(
        CASE
            WHEN admissions.deathtime IS NOT NULL
                THEN admissions.deathtime >= admissions.admittime
            ELSE
                patients.dod
                BETWEEN CAST(admissions.admittime AS DATE) AND CAST(admissions.dischtime AS DATE)
        END
        , FALSE
    ) AS died_in_hospital
    , COALESCE(
        admissions.deathtime BETWEEN admissions.admittime AND admissions.dischtime, FALSE
    )
    OR COALESCE(
        CAST(patients.dod AS TIMESTAMP)
        BETWEEN admissions.admittime AND admissions.dischtime
        , FALSE
    ) AS died_as_published
FROM admissions
LEFT JOIN patients
    ON admissions.subject_id = patients.subject_id
ORDER BY hadm_id
