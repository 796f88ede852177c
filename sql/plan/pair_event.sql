-- Grain: one row per two films of an admission, as if something had happened between them.
SELECT DISTINCT
    previous_dicom_id
    , target_dicom_id
    , CASE WHEN $one_sample_per_admission THEN hadm_id END AS hadm_id
FROM pair_candidate
ORDER BY previous_dicom_id, target_dicom_id, hadm_id
