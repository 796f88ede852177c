-- Grain: one row per pair_id. event_hours: hours of the window that hold a measurement, if counted.
-- The window is [window_start_at, window_end_at]; the recipe says whether its end belongs to it. A
-- sample without events has one film twice and a window of no length that holds nothing. race,
-- insurance: as the admission spells them, null where not recorded or where there is no admission.
SELECT
    sample.pair_id
    , assigned.split
    , sample.subject_id
    , sample.hadm_id
    , sample.stay_id
    , sample.previous_study_id
    , sample.previous_dicom_id
    , sample.previous_at
    , sample.previous_view
    , sample.target_study_id
    , sample.target_dicom_id
    , sample.target_at
    , sample.target_view
    , DATE_DIFF('microsecond', sample.previous_at, sample.target_at) / 3600000000.0 AS gap_hours
    , sample.previous_at AS window_start_at
    , sample.target_at AS window_end_at
    , sample.event_hours
    , sample.age
    , sample.sex
    , sample.died_in_hospital
    , sample.is_null_event
    , NULLIF(TRIM(admissions.race), '') AS race
    , NULLIF(TRIM(admissions.insurance), '') AS insurance
FROM pair_sample AS sample
INNER JOIN assigned
    ON sample.subject_id = assigned.subject_id
LEFT JOIN admissions
    ON sample.hadm_id = admissions.hadm_id
WHERE sample.drop_reason IS NULL
ORDER BY pair_id
