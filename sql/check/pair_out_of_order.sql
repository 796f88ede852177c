-- Grain: one row per pair whose target film was not taken after the previous one, or that names one
-- study or one film twice; or that is a sample without events and names two films or two times.
SELECT pair_id
FROM pair
WHERE
    CASE
        WHEN is_null_event
            THEN
                target_at <> previous_at
                OR target_study_id <> previous_study_id
                OR target_dicom_id <> previous_dicom_id
        ELSE
            (target_at > previous_at) IS NOT TRUE
            OR target_study_id = previous_study_id
            OR target_dicom_id = previous_dicom_id
    END
ORDER BY pair_id
