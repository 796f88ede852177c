-- Grain: one row per chartevents row that needed/chartevents.sql keeps, dropped ones with a reason.
-- Transforms: fahrenheit -> degC, or as Celsius below 50; fraction: above 1 it is in percent; pound ->
-- kg; inch -> cm; eye, motor, verbal: points of the Glasgow coma scale by their text (the verbal
-- response of an intubated patient has none). number: as charted.
-- A value without storetime was known when it was charted.
SELECT
    subject_id
    , hadm_id
    , event_at
    , CAST(NULL AS TIMESTAMP) AS ends_at
    , known_at
    , variable
    , value
    , CAST('chartevents' AS measurement_source) AS source
    , source_row
    , CASE
        WHEN event_at IS NULL THEN '01 no time'
        WHEN value IS NULL OR NOT ISFINITE(value) THEN '02 no number, or a text without points'
        WHEN value NOT BETWEEN low AND high THEN '03 outside the plausible range'
    END AS drop_reason
FROM (
    SELECT
        admission.subject_id
        , admission.hadm_id
        , chart.charttime AS event_at
        , GREATEST(chart.charttime, chart.storetime) AS known_at
        , item.variable
        , chart.source_row
        , rule.low
        , rule.high
        , CASE item.transform
            WHEN 'fahrenheit'
                THEN
                    CASE
                        WHEN chart.valuenum < 50 THEN chart.valuenum
                        ELSE (chart.valuenum - 32) * 5 / 9
                    END
            WHEN 'fraction'
                THEN
                    CASE
                        WHEN chart.valuenum <= 1 THEN chart.valuenum
                        ELSE chart.valuenum / 100
                    END
            WHEN 'pound' THEN chart.valuenum * CAST(0.45359237 AS DOUBLE)
            WHEN 'inch' THEN chart.valuenum * CAST(2.54 AS DOUBLE)
            WHEN 'eye'
                THEN
                    CASE chart.value
                        WHEN 'None' THEN 1.0
                        WHEN 'To Pain' THEN 2.0
                        WHEN 'To Speech' THEN 3.0
                        WHEN 'Spontaneously' THEN 4.0
                    END
            WHEN 'verbal'
                THEN
                    CASE chart.value
                        WHEN 'No Response' THEN 1.0
                        WHEN 'Incomprehensible sounds' THEN 2.0
                        WHEN 'Inappropriate Words' THEN 3.0
                        WHEN 'Confused' THEN 4.0
                        WHEN 'Oriented' THEN 5.0
                    END
            WHEN 'motor'
                THEN
                    CASE chart.value
                        WHEN 'No response' THEN 1.0
                        WHEN 'Abnormal extension' THEN 2.0
                        WHEN 'Abnormal Flexion' THEN 3.0
                        WHEN 'Flex-withdraws' THEN 4.0
                        WHEN 'Localizes Pain' THEN 5.0
                        WHEN 'Obeys Commands' THEN 6.0
                    END
            ELSE chart.valuenum
        END AS value
    FROM chartevents AS chart
    INNER JOIN wide_item AS item
        ON chart.itemid = item.itemid AND item.source = 'chartevents'
    INNER JOIN wide_variable AS rule
        ON item.variable = rule.variable
    INNER JOIN filmed_admission AS admission
        ON chart.hadm_id = admission.hadm_id
) AS converted
ORDER BY hadm_id, event_at, source, source_row
