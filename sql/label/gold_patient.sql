-- Grain: one row per subject_id of Chest ImaGenome's gold set. EHRXDiff trains its classifier
-- without them (specs ehrxdiff 10.1, step 5).
SELECT DISTINCT gold.subject_id
FROM imagenome_gold AS gold
WHERE gold.subject_id IS NOT NULL
ORDER BY subject_id
