-- Grain: one row per (pair_id, admission whose events belong to its window).
-- That is the pair's own admission or, unless $one_sample_per_admission, every one in which its
-- films are a pair; none if it is a sample without events.
SELECT
    sample.pair_id
    , pair.hadm_id
FROM pair_sample AS sample
INNER JOIN admission_pair AS pair
    ON
        sample.previous_dicom_id = pair.previous_dicom_id
        AND sample.target_dicom_id = pair.target_dicom_id
        AND (NOT $one_sample_per_admission OR sample.hadm_id = pair.hadm_id)
WHERE
    pair.drop_reason IS NULL
    AND NOT sample.is_null_event
ORDER BY pair_id, hadm_id
