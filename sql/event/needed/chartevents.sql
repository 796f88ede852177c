-- Grain: one row per chartevents row, those that no measurement can come of dropped with a reason.
-- Most of the table goes here, by two narrow columns; measurement/chartevents.sql has the other rules.
SELECT
    chart.source_row
    , CASE
        WHEN item.itemid IS NULL THEN '01 item not used'
        WHEN
            stay.stay_id IS NULL
            THEN '02 admission without the stay and films a sample needs'
    END AS drop_reason
FROM chartevents AS chart
LEFT JOIN measured_item AS item
    ON chart.itemid = item.itemid AND item.source = 'chartevents'
LEFT JOIN measured_stay AS stay
    ON chart.hadm_id = stay.hadm_id
ORDER BY source_row
