-- Grain: one row per pair_id: how the report of the target says each attribute changed since the
-- previous film (improved, worsened, no change); null where it does not say, or disagrees.
SELECT
    pair.pair_id
    , MIN(change.direction) FILTER (WHERE change.attribute = 'pleural effusion')
        AS "pleural effusion"
    , MIN(change.direction) FILTER (WHERE change.attribute = 'enlarged cardiac silhouette')
        AS "enlarged cardiac silhouette"
    , MIN(change.direction) FILTER (WHERE change.attribute = 'lung opacity') AS "lung opacity"
    , MIN(change.direction) FILTER (WHERE change.attribute = 'pulmonary edema/hazy opacity')
        AS "pulmonary edema/hazy opacity"
    , MIN(change.direction) FILTER (WHERE change.attribute = 'pneumonia') AS "pneumonia"
    , MIN(change.direction) FILTER (WHERE change.attribute = 'consolidation') AS "consolidation"
    , MIN(change.direction) FILTER (WHERE change.attribute = 'vascular congestion')
        AS "vascular congestion"
    , MIN(change.direction) FILTER (WHERE change.attribute = 'pneumothorax') AS "pneumothorax"
    , MIN(change.direction) FILTER (WHERE change.attribute = 'enlarged hilum') AS "enlarged hilum"
    , MIN(change.direction) FILTER (WHERE change.attribute = 'mediastinal widening')
        AS "mediastinal widening"
    , MIN(change.direction) FILTER (WHERE change.attribute = 'atelectasis') AS "atelectasis"
FROM pair
LEFT JOIN pair_change AS change
    ON pair.pair_id = change.pair_id AND change.drop_reason IS NULL
GROUP BY pair.pair_id
ORDER BY pair_id
