-- Grain: one row per two films of an admission, dropped ones with a reason.
-- The target's study must have begun strictly after the previous one's, which excludes films of one
-- study and of studies that began at once. The gap must be strictly below $maximum_gap_hours.
SELECT
    pair.*
    , CASE
        WHEN pair.target_at <= pair.previous_at THEN '01 taken at the same time'
        WHEN
            pair.target_study_began_at <= pair.previous_study_began_at
            THEN '02 same study, or one that began no later'
        WHEN
            pair.target_at >= pair.previous_at + TO_SECONDS($maximum_gap_hours * 3600)
            THEN '03 not closer than the maximum gap'
        WHEN window_event.target_dicom_id IS NULL THEN '04 no event in the window'
    END AS drop_reason
FROM pair_candidate AS pair
LEFT JOIN pair_event AS window_event
    ON
        pair.previous_dicom_id = window_event.previous_dicom_id
        AND pair.target_dicom_id = window_event.target_dicom_id
        AND (window_event.hadm_id IS NULL OR pair.hadm_id = window_event.hadm_id)
ORDER BY pair_id
