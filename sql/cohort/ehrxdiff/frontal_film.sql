-- Grain: one row per film with a time, dropped ones with a reason.
-- study_began_at is the time of the study's first frontal film.
SELECT
    dicom_id
    , subject_id
    , study_id
    , view
    , taken_at
    , source_row
    , MIN(taken_at)
        FILTER (WHERE view IN ('PA', 'AP'))
        OVER (PARTITION BY subject_id, study_id) AS study_began_at
    , CASE
        WHEN (view IN ('PA', 'AP')) IS NOT TRUE THEN '01 view is neither PA nor AP'
    END AS drop_reason
FROM taken_film
WHERE drop_reason IS NULL
ORDER BY dicom_id
