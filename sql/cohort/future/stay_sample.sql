-- Grain: one row per prediction, dropped ones with a reason.
-- Window: [window_start_at, window_end_at), from arrival, $lookback_hours before the prediction at
-- the earliest, to the prediction. Its film: the last one before the prediction; there may be none.
-- Outcomes are null where the prediction is not of them, and where censored (docs/future.md):
-- died_in_hospital never; remaining_hours and readmitted of those who die in hospital; icu_transfer
-- of those in the ICU at the prediction or dead within the horizon without one; readmitted of those
-- dead within its days without one. Transfers count in (prediction_at, prediction_at +
-- $icu_transfer_within_hours]; admissions in (dischtime, dischtime + $readmission_within_days].
SELECT
    LEFT(
        SHA256(
            CONCAT_WS('|', 'stay', prediction.subject_id, prediction.hadm_id, prediction.prediction_at)
        )
        , 16
    ) AS key
    , prediction.subject_id
    , prediction.hadm_id
    , icu.stay_id
    , film.study_id AS previous_study_id
    , film.dicom_id AS previous_dicom_id
    , film.taken_at AS previous_at
    , film.view AS previous_view
    , icu.intime AS admitted_to_icu_at
    , prediction.prediction_at
    , GREATEST(stay.begins_at, prediction.prediction_at - TO_SECONDS($lookback_hours * 3600))
        AS window_start_at
    , prediction.prediction_at AS window_end_at
    , CAST(NULL AS TIMESTAMP) AS generation_start_at
    , stay.age
    , stay.sex
    , CASE WHEN prediction.has_death THEN stay.died_in_hospital END AS died_in_hospital
    , prediction.has_phenotypes AND coded.hadm_id IS NOT NULL AS has_phenotypes
    , CASE
        WHEN prediction.has_remaining AND NOT stay.died_in_hospital
            THEN DATE_DIFF('microsecond', prediction.prediction_at, stay.dischtime) / 3600000000.0
    END AS remaining_hours
    , CASE
        WHEN NOT prediction.has_transfer OR icu.stay_id IS NOT NULL THEN NULL
        WHEN
            later.intime
            <= prediction.prediction_at + TO_SECONDS($icu_transfer_within_hours * 3600)
            THEN TRUE
        WHEN
            stay.died_in_hospital
            AND COALESCE(stay.deathtime, stay.dischtime)
            <= prediction.prediction_at + TO_SECONDS($icu_transfer_within_hours * 3600)
            THEN NULL
        ELSE FALSE
    END AS icu_transfer
    , CASE
        WHEN NOT prediction.has_readmission OR stay.died_in_hospital THEN NULL
        WHEN
            again.admittime <= stay.dischtime + TO_DAYS($readmission_within_days)
            THEN TRUE
        WHEN
            stay.dod <= CAST(stay.dischtime AS DATE) + $readmission_within_days
            THEN NULL
        ELSE FALSE
    END AS readmitted
    , prediction.label
    , CASE
        WHEN stay.hadm_id IS NULL THEN '01 no admission of the cohort holds the time'
        WHEN
            $index = ''
            AND prediction.hadm_id NOT IN (SELECT ordered_film.hadm_id FROM ordered_film)
            THEN '02 admission without a frontal film'
        WHEN
            prediction.has_readmission AND stay.died_in_hospital
            THEN '03 died in hospital, so not at risk of readmission'
        WHEN
            NOT prediction.has_readmission
            AND prediction.prediction_at >= LEAST(stay.dischtime, stay.deathtime)
            THEN '04 left or dead by then'
    END AS drop_reason
FROM prediction
LEFT JOIN hospital_stay AS stay
    ON prediction.hadm_id = stay.hadm_id
LEFT JOIN (
    SELECT
        prediction.hadm_id
        , prediction.prediction_at
        , MAX_BY(icustays.stay_id, (icustays.intime, icustays.stay_id)) AS stay_id
        , MAX_BY(icustays.intime, (icustays.intime, icustays.stay_id)) AS intime
    FROM prediction
    INNER JOIN icustays
        ON
            prediction.hadm_id = icustays.hadm_id
            AND prediction.prediction_at >= icustays.intime
            AND prediction.prediction_at < icustays.outtime
    GROUP BY prediction.hadm_id, prediction.prediction_at
) AS icu
    ON prediction.hadm_id = icu.hadm_id AND prediction.prediction_at = icu.prediction_at
ASOF LEFT JOIN (
    SELECT
        hadm_id
        , intime
    FROM icustays
) AS later
    ON prediction.hadm_id = later.hadm_id AND prediction.prediction_at < later.intime
ASOF LEFT JOIN (
    SELECT
        subject_id
        , admittime
    FROM admissions
) AS again
    ON prediction.subject_id = again.subject_id AND stay.dischtime < again.admittime
ASOF LEFT JOIN (
    SELECT *
    FROM ordered_film
    QUALIFY ROW_NUMBER() OVER (PARTITION BY hadm_id, taken_at ORDER BY place DESC) = 1
) AS film
    ON prediction.hadm_id = film.hadm_id AND prediction.prediction_at > film.taken_at
LEFT JOIN (
    SELECT DISTINCT hadm_id
    FROM diagnoses_icd
) AS coded
    ON prediction.hadm_id = coded.hadm_id
ORDER BY key
