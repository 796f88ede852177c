-- Grain: one row per film with a time, dropped ones with a reason.
SELECT
    dicom_id
    , subject_id
    , study_id
    , view
    , taken_at
    , CAST(taken_at AS DATE) AS taken_on
    , CASE
        WHEN (view IN ('PA', 'AP')) IS NOT TRUE THEN '01 view is neither PA nor AP'
    END AS drop_reason
FROM taken_film
WHERE drop_reason IS NULL
ORDER BY dicom_id
