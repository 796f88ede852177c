-- Grain: one row per chartevents row, those that no measurement can come of dropped with a reason, by
-- two narrow columns; measurement/chartevents.sql has the other rules. Rows of the ICU name an admission.
SELECT
    charted.source_row
    , CASE
        WHEN item.itemid IS NULL THEN '01 item not used'
        WHEN admission.hadm_id IS NULL THEN '02 admission without the films a sample needs'
    END AS drop_reason
FROM chartevents AS charted
LEFT JOIN wide_item AS item
    ON charted.itemid = item.itemid AND item.source = 'chartevents'
LEFT JOIN filmed_admission AS admission
    ON charted.hadm_id = admission.hadm_id
ORDER BY source_row
