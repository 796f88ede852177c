-- Grain: one row per admission of the cohort, as a stay in no one ICU: what is coded of an admission
-- is coded of all of it.
SELECT
    subject_id
    , hadm_id
    , CAST(NULL AS BIGINT) AS stay_id
    , begins_at AS intime
    , dischtime AS outtime
    , admittime
    , dischtime
    , deathtime
    , dod
    , age
    , sex
    , died_in_hospital
    , CAST(NULL AS VARCHAR) AS drop_reason
FROM hospital_stay
WHERE drop_reason IS NULL
ORDER BY hadm_id
