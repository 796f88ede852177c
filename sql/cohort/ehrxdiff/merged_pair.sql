-- Grain: one row per pair with events, per admission; dropped ones with a reason.
-- Films that are a pair in overlapping admissions are one sample in each if
-- $one_sample_per_admission; else one, of the admission with the lowest hadm_id, and its window
-- holds the events of all.
SELECT
    pair.* EXCLUDE (drop_reason)
    , CASE
        WHEN
            NOT $one_sample_per_admission
            AND ROW_NUMBER() OVER (
                PARTITION BY pair.previous_dicom_id, pair.target_dicom_id ORDER BY pair.hadm_id
            ) > 1
            THEN '01 its events are in the sample of an overlapping admission'
    END AS drop_reason
FROM admission_pair AS pair
WHERE pair.drop_reason IS NULL
ORDER BY pair_id
