-- Grain: one row per transfer whose patient is not that of its admission.
SELECT transfers.transfer_id
FROM transfers
INNER JOIN admissions
    ON transfers.hadm_id = admissions.hadm_id
WHERE transfers.subject_id <> admissions.subject_id
ORDER BY transfer_id
