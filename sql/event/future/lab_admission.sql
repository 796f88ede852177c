-- Grain: one row per labevents row that names no admission but was drawn during one with films.
-- Interval: [begins_at, dischtime], both ends included. Of two admissions the later begun wins.
SELECT
    lab.source_row
    , MAX_BY(admission.hadm_id, (admission.begins_at, admission.hadm_id)) AS hadm_id
FROM labevents AS lab
INNER JOIN wide_item AS item
    ON lab.itemid = item.itemid AND item.source = 'labevents'
INNER JOIN filmed_admission AS admission
    ON
        lab.subject_id = admission.subject_id
        AND lab.charttime BETWEEN admission.begins_at AND admission.dischtime
WHERE lab.hadm_id IS NULL
GROUP BY lab.source_row
ORDER BY source_row
