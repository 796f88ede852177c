-- Grain: one row per stay_id of the hospital, dropped ones with a reason.
-- The stays of the benchmark that DDL-CXR, MedFuse and DrFuse share (specs ddl-cxr 2.1, rules 1 to
-- 7). An admission is dropped for several stays only if several remain after the first rule.
SELECT
    stay.subject_id
    , stay.hadm_id
    , stay.stay_id
    , stay.last_careunit
    , stay.intime
    , stay.outtime
    , stay.los
    , admission.admittime
    , admission.dischtime
    , admission.deathtime
    , admission.dod
    , admission.anchor_age
    , CASE WHEN $age_at_admission THEN admission.age ELSE admission.anchor_age END AS age
    , admission.sex
    , CASE
        WHEN $death_by_deathtime_then_dod THEN admission.died_in_hospital
        ELSE admission.died_as_published
    END AS died_in_hospital
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
            $discharge_after_admission
            AND (admission.admittime <= admission.dischtime) IS NOT TRUE
            THEN '04 no discharge, or one before admission'
        WHEN
            CASE WHEN $age_at_admission THEN admission.age ELSE admission.anchor_age END
            < $minimum_age
            THEN '05 younger than the minimum age'
    END AS drop_reason
FROM icustays AS stay
LEFT JOIN admission
    ON
        stay.subject_id = admission.subject_id
        AND stay.hadm_id = admission.hadm_id
ORDER BY stay_id
