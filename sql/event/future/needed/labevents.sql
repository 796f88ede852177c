-- Grain: one row per labevents row, those that no measurement can come of dropped with a reason, by
-- narrow columns; measurement/labevents.sql has the other rules. A result that names no admission
-- belongs to the one it was drawn in (lab_admission.sql).
SELECT
    lab.source_row
    , CASE
        WHEN item.itemid IS NULL THEN '01 item not used'
        WHEN admission.hadm_id IS NULL THEN '02 admission without the films a sample needs, or none'
    END AS drop_reason
FROM labevents AS lab
LEFT JOIN wide_item AS item
    ON lab.itemid = item.itemid AND item.source = 'labevents'
LEFT JOIN lab_admission AS drawn_in
    ON lab.source_row = drawn_in.source_row
LEFT JOIN filmed_admission AS admission
    ON COALESCE(lab.hadm_id, drawn_in.hadm_id) = admission.hadm_id
ORDER BY source_row
