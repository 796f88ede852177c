-- Grain: one row per labevents row that names no admission but was drawn during one.
-- Interval: [admittime, dischtime], both ends included. Of two admissions the later begun wins.
-- Without $labs_by_time there is none.
SELECT
    lab.source_row
    , MAX_BY(stay.hadm_id, (stay.admittime, stay.hadm_id)) AS hadm_id
FROM labevents AS lab
INNER JOIN variable_item AS item
    ON lab.itemid = item.itemid AND item.source = 'labevents'
INNER JOIN measured_stay AS stay
    ON
        lab.subject_id = stay.subject_id
        AND lab.charttime BETWEEN stay.admittime AND stay.dischtime
WHERE lab.hadm_id IS NULL AND $labs_by_time
GROUP BY lab.source_row
ORDER BY source_row
