-- Grain: one row per key, that is per ICU stay, or per prediction of a recipe with several a stay.
-- The window is [window_start_at, window_end_at], from admission to the prediction, or to a
-- discharge before it; the recipe says whether its end belongs to it. has_phenotypes: whether they
-- are this sample's to predict. Outcomes that the recipe does not have are null. previous_* and hours_since_previous are null for a stay without a film.
-- race, insurance: as the admission spells them, null where not recorded.
SELECT
    sample.key
    , assigned.split
    , sample.subject_id
    , sample.hadm_id
    , sample.stay_id
    , sample.previous_study_id
    , sample.previous_dicom_id
    , sample.previous_at
    , sample.previous_view
    , sample.admitted_to_icu_at
    , sample.prediction_at
    , sample.generation_start_at
    , sample.window_start_at
    , sample.window_end_at
    , DATE_DIFF('microsecond', sample.previous_at, sample.prediction_at)
    / 3600000000.0 AS hours_since_previous
    , sample.age
    , sample.sex
    , sample.died_in_hospital
    , sample.has_phenotypes
    , sample.remaining_hours
    , sample.icu_transfer
    , sample.readmitted
    , sample.label
    , NULLIF(TRIM(admissions.race), '') AS race
    , NULLIF(TRIM(admissions.insurance), '') AS insurance
FROM stay_sample AS sample
INNER JOIN assigned
    ON sample.subject_id = assigned.subject_id
LEFT JOIN admissions
    ON sample.hadm_id = admissions.hadm_id
WHERE sample.drop_reason IS NULL
ORDER BY key
