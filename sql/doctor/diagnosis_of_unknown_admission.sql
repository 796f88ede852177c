-- Grain: one row per diagnosis of an admission that is not in admissions.
SELECT hadm_id
FROM diagnoses_icd
WHERE (hadm_id IN (SELECT admissions.hadm_id FROM admissions)) IS NOT TRUE
ORDER BY hadm_id
