-- Grain: one row per (admission of the cohort, time of a prediction), discharge apart; if $index is set, one row per
-- row of the index file, with no hadm_id where no admission of the patient holds its time.
-- Without an index: the hours after admission at which the recipe predicts something, and discharge.
-- What is predicted then: has_death, has_phenotypes, has_remaining, has_transfer, has_readmission.
-- Interval of an index's time: [begins_at, dischtime), its end not; the later begun of two.
SELECT
    subject_id
    , hadm_id
    , prediction_at
    , CAST(NULL AS DOUBLE) AS label
    , BOOL_OR(outcome = 'death') AS has_death
    , BOOL_OR(outcome = 'phenotypes') AS has_phenotypes
    , BOOL_OR(outcome = 'remaining') AS has_remaining
    , BOOL_OR(outcome = 'transfer') AS has_transfer
    , outcome = 'readmission' AS has_readmission
FROM (
    SELECT
        stay.subject_id
        , stay.hadm_id
        , asked.outcome
        , CASE
            WHEN asked.outcome = 'readmission' THEN stay.dischtime
            ELSE stay.admittime + TO_SECONDS(asked.hours * 3600)
        END AS prediction_at
    FROM hospital_stay AS stay
    CROSS JOIN (
        VALUES
        ('death', $death_at_hours)
        , ('phenotypes', $phenotypes_at_hours)
        , ('remaining', $remaining_stay_at_hours)
        , ('transfer', $icu_transfer_at_hours)
        , ('readmission', NULL)
    ) AS asked (outcome, hours)
    WHERE
        stay.drop_reason IS NULL
        AND $index = ''
) AS timed
GROUP BY
    subject_id
    , hadm_id
    , prediction_at
    , outcome = 'readmission'
UNION ALL
SELECT
    listed.subject_id
    , MAX_BY(stay.hadm_id, (stay.begins_at, stay.hadm_id)) AS hadm_id
    , listed.prediction_at
    , ANY_VALUE(listed.label) AS label
    , TRUE AS has_death
    , TRUE AS has_phenotypes
    , TRUE AS has_remaining
    , TRUE AS has_transfer
    , FALSE AS has_readmission
FROM index_label AS listed
LEFT JOIN hospital_stay AS stay
    ON
        listed.subject_id = stay.subject_id
        AND stay.drop_reason IS NULL
        AND listed.prediction_at >= stay.begins_at
        AND listed.prediction_at < stay.dischtime
WHERE $index <> ''
GROUP BY
    listed.subject_id
    , listed.prediction_at
ORDER BY subject_id, prediction_at, hadm_id, has_readmission
