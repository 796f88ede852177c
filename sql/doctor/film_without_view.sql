-- Grain: one row per film that names no view.
SELECT dicom_id
FROM cxr_metadata
WHERE viewposition IS NULL
ORDER BY dicom_id
