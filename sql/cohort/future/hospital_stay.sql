-- Grain: one row per hadm_id of the hospital, dropped ones with a reason.
-- begins_at: arrival in the emergency department where that is before admission, else admission.
SELECT
    admission.subject_id
    , admission.hadm_id
    , LEAST(admission.admittime, arrival.edregtime) AS begins_at
    , admission.admittime
    , admission.dischtime
    , admission.deathtime
    , admission.dod
    , admission.age
    , admission.sex
    , admission.died_in_hospital
    , CASE
        WHEN
            (admission.sex IN ('F', 'M') AND admission.age IS NOT NULL) IS NOT TRUE
            THEN '01 unknown patient, sex or age'
        WHEN admission.age < $minimum_age THEN '02 younger than minimum_age'
        WHEN
            (admission.dischtime > admission.admittime) IS NOT TRUE
            THEN '03 discharge not after admission'
    END AS drop_reason
FROM admission
LEFT JOIN admissions AS arrival
    ON admission.hadm_id = arrival.hadm_id
ORDER BY hadm_id
