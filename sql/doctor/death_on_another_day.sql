-- Grain: one row per admission whose time of death is two days or more from the patient's dod.
SELECT admissions.hadm_id
FROM admissions
INNER JOIN patients
    ON admissions.subject_id = patients.subject_id
WHERE ABS(DATE_DIFF('day', patients.dod, CAST(admissions.deathtime AS DATE))) >= 2
ORDER BY hadm_id
