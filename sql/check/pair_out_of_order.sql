-- Grain: one row per pair whose target film was not taken after the previous one, or that names one
-- study or one film twice.
SELECT pair_id
FROM pair
WHERE
    (target_at > previous_at) IS NOT TRUE
    OR target_study_id = previous_study_id
    OR target_dicom_id = previous_dicom_id
ORDER BY pair_id
