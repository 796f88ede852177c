-- Grain: one row per admission that ends before it begins.
SELECT hadm_id
FROM admissions
WHERE dischtime < admittime
ORDER BY hadm_id
