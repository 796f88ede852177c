-- Grain: one row per film whose StudyDate or StudyTime is none: sql/cohort/taken_film drops it.
SELECT dicom_id
FROM cxr_metadata
WHERE
    (
        TRY_STRPTIME(CAST(studydate AS VARCHAR), '%Y%m%d') IS NOT NULL
        AND studytime >= 0
        AND studytime < 240000
        AND FLOOR(studytime / 100) % 100 < 60
        AND studytime % 100 < 60
    ) IS NOT TRUE
ORDER BY dicom_id
