-- Grain: one row per patient whose death is recorded: MEDS_DEATH at the first deathtime, else at
-- the end of the day of dod, which is the next midnight.
SELECT
    patient.subject_id
    , CAST(NULL AS BIGINT) AS hadm_id
    , COALESCE(hospital.deathtime, CAST(patient.dod AS TIMESTAMP) + TO_DAYS(1)) AS event_at
    , COALESCE(hospital.deathtime, CAST(patient.dod AS TIMESTAMP) + TO_DAYS(1)) AS known_at
    , 'MEDS_DEATH' AS code
    , CAST(NULL AS FLOAT) AS numeric_value
    , CAST(NULL AS VARCHAR) AS text_value
    , patient.source_row
    , CAST(NULL AS VARCHAR) AS drop_reason
FROM patients AS patient
LEFT JOIN (
    SELECT
        subject_id
        , MIN(deathtime) AS deathtime
    FROM admissions
    GROUP BY subject_id
) AS hospital
    ON patient.subject_id = hospital.subject_id
WHERE COALESCE(hospital.deathtime, patient.dod) IS NOT NULL
ORDER BY subject_id, source_row
