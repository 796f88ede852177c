-- Grain: one row per film with a time, dropped ones with a reason.
-- The view must be AP exactly: neither "AP AXIAL" nor "AP LLD".
SELECT
    dicom_id
    , subject_id
    , study_id
    , view
    , taken_at
    , source_row
    , CASE WHEN (view = 'AP') IS NOT TRUE THEN '01 view is not AP' END AS drop_reason
FROM taken_film
WHERE drop_reason IS NULL
ORDER BY dicom_id
