-- Grain: one row per ICU stay of an admission that is not in admissions.
SELECT stay_id
FROM icustays
WHERE (hadm_id IN (SELECT admissions.hadm_id FROM admissions)) IS NOT TRUE
ORDER BY stay_id
