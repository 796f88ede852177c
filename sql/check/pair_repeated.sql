-- Grain: one row per two films that are a pair more than once in an admission and stay. Null events
-- may repeat: there is one for each target that they stand in for (specs ehrxdiff 5).
SELECT
    hadm_id
    , stay_id
    , previous_dicom_id
    , target_dicom_id
FROM pair
WHERE NOT is_null_event
GROUP BY
    hadm_id
    , stay_id
    , previous_dicom_id
    , target_dicom_id
HAVING COUNT(*) > 1
ORDER BY hadm_id, stay_id, previous_dicom_id, target_dicom_id
