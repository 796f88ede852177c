-- Grain: one row per study of the film list that CheXpert's labels do not hold.
SELECT DISTINCT study_id
FROM cxr_metadata
WHERE study_id NOT IN (SELECT cxr_chexpert.study_id FROM cxr_chexpert)
ORDER BY study_id
