-- Grain: one row per outputevents row that needed/outputevents.sql keeps, dropped ones with a reason.
-- Volumes in mL, of the moment at which they were emptied. negative: irrigant that went in, to be
-- taken off what came out. A volume without storetime was known when it was charted.
SELECT
    subject_id
    , hadm_id
    , event_at
    , CAST(NULL AS TIMESTAMP) AS ends_at
    , known_at
    , variable
    , value
    , CAST('outputevents' AS measurement_source) AS source
    , source_row
    , CASE
        WHEN event_at IS NULL THEN '01 no time'
        WHEN value IS NULL OR NOT ISFINITE(value) THEN '02 no number'
        WHEN is_other_unit THEN '03 not in mL'
        WHEN value NOT BETWEEN low AND high THEN '04 outside the plausible range'
    END AS drop_reason
FROM (
    SELECT
        admission.subject_id
        , admission.hadm_id
        , output.charttime AS event_at
        , GREATEST(output.charttime, output.storetime) AS known_at
        , item.variable
        , CASE WHEN item.transform = 'negative' THEN -output.value ELSE output.value END AS value
        , LOWER(COALESCE(output.valueuom, 'ml')) <> 'ml' AS is_other_unit
        , output.source_row
        , rule.low
        , rule.high
    FROM outputevents AS output
    INNER JOIN wide_item AS item
        ON output.itemid = item.itemid AND item.source = 'outputevents'
    INNER JOIN wide_variable AS rule
        ON item.variable = rule.variable
    INNER JOIN filmed_admission AS admission
        ON output.hadm_id = admission.hadm_id
) AS converted
ORDER BY hadm_id, event_at, source, source_row
