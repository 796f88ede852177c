-- Grain: one row per film of a patient who is not in patients.
SELECT dicom_id
FROM cxr_metadata
WHERE subject_id NOT IN (SELECT patients.subject_id FROM patients)
ORDER BY dicom_id
