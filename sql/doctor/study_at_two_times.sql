-- Grain: one row per study whose films differ in their date or time.
SELECT study_id
FROM cxr_metadata
GROUP BY study_id
HAVING COUNT(DISTINCT (studydate, studytime)) > 1
ORDER BY study_id
