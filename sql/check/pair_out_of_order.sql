-- Grain: one row per pair whose target film was not taken after the previous one, or that names one
-- study or one film twice; a null event names its previous film as its target.
SELECT pair_id
FROM pair
WHERE
    is_null_event IS NULL
    OR (
        NOT is_null_event
        AND (
            (target_at > previous_at) IS NOT TRUE
            OR target_study_id = previous_study_id
            OR target_dicom_id = previous_dicom_id
        )
    )
    OR (
        is_null_event
        AND (
            target_dicom_id IS DISTINCT FROM previous_dicom_id
            OR target_at IS DISTINCT FROM previous_at
            OR window_end_at IS DISTINCT FROM window_start_at
        )
    )
ORDER BY pair_id
