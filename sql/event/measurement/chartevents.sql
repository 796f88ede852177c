-- Grain: one row per chartevents row, dropped ones with a reason.
-- Units of the contract: Fahrenheit -> degC by item, or where a Celsius item holds 79 or more;
-- inch -> cm; pound -> kg; a saturation of 1 or less is a fraction -> %; inspired oxygen above 1 is
-- in percent -> fraction, a charted 0.5 stays 0.5. Numbers come from valuenum, never from text.
SELECT
    converted.subject_id
    , converted.hadm_id
    , converted.stay_id
    , converted.charttime AS event_at
    , GREATEST(converted.charttime, converted.storetime) AS known_at
    , converted.variable
    , CAST(converted.measured AS FLOAT) AS value
    , 'chartevents' AS source
    , converted.source_row
    , CASE
        WHEN converted.variable IS NULL THEN '01 item not used'
        WHEN converted.filmed_hadm_id IS NULL THEN '02 admission without the films a sample needs'
        WHEN converted.charttime IS NULL THEN '03 no time'
        WHEN converted.measured IS NULL THEN '04 no number, or a text that is no category'
        WHEN
            converted.transform = 'fraction' AND converted.measured > 1
            THEN '05 inspired oxygen above 100 percent'
    END AS drop_reason
FROM (
    SELECT
        chart.subject_id
        , chart.hadm_id
        , chart.stay_id
        , chart.charttime
        , chart.storetime
        , chart.source_row
        , item.variable
        , item.transform
        , admission.hadm_id AS filmed_hadm_id
        , CASE
            WHEN item.transform = 'category' THEN charted_category.position
            WHEN NOT ISFINITE(chart.valuenum) THEN NULL
            WHEN item.transform = 'fraction' AND chart.valuenum > 1 THEN chart.valuenum / 100
            WHEN
                item.transform = 'fahrenheit'
                OR (item.transform = 'celsius' AND chart.valuenum >= 79)
                THEN (chart.valuenum - 32) * 5 / 9
            WHEN item.transform = 'inch' THEN chart.valuenum * 2.54
            WHEN item.transform = 'pound' THEN chart.valuenum * 0.453592
            WHEN item.transform = 'percent' AND chart.valuenum <= 1 THEN chart.valuenum * 100
            ELSE chart.valuenum
        END AS measured
    FROM chartevents AS chart
    LEFT JOIN variable_item AS item
        ON chart.itemid = item.itemid AND item.source = 'chartevents'
    LEFT JOIN filmed_admission AS admission
        ON chart.hadm_id = admission.hadm_id
    LEFT JOIN charted_category
        ON item.variable = charted_category.variable AND chart.value = charted_category.charted
) AS converted
ORDER BY subject_id, event_at, source, source_row
