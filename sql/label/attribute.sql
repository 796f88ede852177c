-- Grain: one row per dicom_id of which Chest ImaGenome mentions one of the ten attributes; it has
-- frontal films only. 1 present in some region, 0 absent in all that are named, null not mentioned
-- (specs ehrxdiff 10.1, steps 3 and 6).
SELECT
    mention.dicom_id
    , MAX(mention.relation) FILTER (WHERE mention.attribute = 'pleural effusion')
        AS "pleural effusion"
    , MAX(mention.relation) FILTER (WHERE mention.attribute = 'enlarged cardiac silhouette')
        AS "enlarged cardiac silhouette"
    , MAX(mention.relation) FILTER (WHERE mention.attribute = 'lung opacity') AS "lung opacity"
    , MAX(mention.relation) FILTER (WHERE mention.attribute = 'pulmonary edema/hazy opacity')
        AS "pulmonary edema/hazy opacity"
    , MAX(mention.relation) FILTER (WHERE mention.attribute = 'pneumonia') AS "pneumonia"
    , MAX(mention.relation) FILTER (WHERE mention.attribute = 'consolidation') AS "consolidation"
    , MAX(mention.relation) FILTER (WHERE mention.attribute = 'vascular congestion')
        AS "vascular congestion"
    , MAX(mention.relation) FILTER (WHERE mention.attribute = 'pneumothorax') AS "pneumothorax"
    , MAX(mention.relation) FILTER (WHERE mention.attribute = 'enlarged hilum') AS "enlarged hilum"
    , MAX(mention.relation) FILTER (WHERE mention.attribute = 'mediastinal widening')
        AS "mediastinal widening"
FROM mention
WHERE mention.drop_reason IS NULL
GROUP BY mention.dicom_id
ORDER BY dicom_id
