-- Grain: one row per hadm_id of the hospital, dropped ones with a reason.
SELECT
    admission.subject_id
    , admission.hadm_id
    , admission.admittime
    , admission.dischtime
    , admission.age
    , admission.sex
    , admission.died_in_hospital
    , CASE
        WHEN admission.age IS NULL THEN '01 unknown patient or time of admission'
        WHEN
            (admission.admittime <= admission.dischtime) IS NOT TRUE
            THEN '02 no discharge, or one before admission'
        WHEN admission.age < $minimum_age THEN '03 younger than the minimum age'
    END AS drop_reason
FROM admission
ORDER BY hadm_id
