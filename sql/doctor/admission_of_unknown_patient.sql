-- Grain: one row per admission of a patient who is not in patients.
SELECT hadm_id
FROM admissions
WHERE subject_id NOT IN (SELECT patients.subject_id FROM patients)
ORDER BY hadm_id
