-- Grain: one row per admission whose time of death is after its discharge.
SELECT hadm_id
FROM admissions
WHERE deathtime > dischtime
ORDER BY hadm_id
