-- Grain: one row per stay_id of the hospital, dropped ones with a reason.
-- An admission is dropped for several stays only if several remain after the first rule. The
-- length of a stay must be strictly above $minimum_stay_hours.
SELECT
    stay.subject_id
    , stay.hadm_id
    , stay.stay_id
    , stay.intime
    , admission.age
    , admission.sex
    , admission.died_in_hospital
    , CASE
        WHEN
            (stay.first_careunit = stay.last_careunit) IS NOT TRUE
            THEN '01 moved between care units'
        WHEN
            stay.intime IS NULL OR admission.age IS NULL
            THEN '02 unknown patient, admission or time of admission'
        WHEN
            COUNT(*)
                FILTER (
                    WHERE
                    stay.first_careunit = stay.last_careunit
                    AND stay.intime IS NOT NULL
                    AND admission.age IS NOT NULL
                )
                OVER (PARTITION BY stay.hadm_id)
            > 1
            THEN '03 several stays in the admission'
        WHEN
            (admission.admittime <= admission.dischtime) IS NOT TRUE
            THEN '04 no discharge, or one before admission'
        WHEN admission.age < $minimum_age THEN '05 younger than the minimum age'
        WHEN
            (stay.los * 24 > $minimum_stay_hours) IS NOT TRUE
            THEN '06 not longer than the minimum stay'
    END AS drop_reason
FROM icustays AS stay
LEFT JOIN admission
    ON
        stay.subject_id = admission.subject_id
        AND stay.hadm_id = admission.hadm_id
ORDER BY stay_id
