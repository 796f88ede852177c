-- Grain: one row per ICU stay whose patient is not that of its admission.
SELECT icustays.stay_id
FROM icustays
INNER JOIN admissions
    ON icustays.hadm_id = admissions.hadm_id
WHERE icustays.subject_id <> admissions.subject_id
ORDER BY stay_id
