-- Grain: one row per transfer of an admission that is not in admissions; those of the emergency
-- department alone name none.
SELECT transfer_id
FROM transfers
WHERE hadm_id NOT IN (SELECT admissions.hadm_id FROM admissions)
ORDER BY transfer_id
