-- Grain: one row per specimen that the laboratory calls arterial (itemid 52033, specimen type).
-- known_at: from when on the chart said so; null where that is not recorded.
SELECT
    specimen_id
    , MIN(storetime) AS known_at
FROM labevents
WHERE
    itemid = 52033
    AND value = 'ART.'
    AND specimen_id IS NOT NULL
GROUP BY specimen_id
ORDER BY specimen_id
