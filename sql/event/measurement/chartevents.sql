-- Grain: one row per chartevents row that needed/chartevents.sql keeps, dropped ones with a reason.
-- The inner joins are that file's two rules: most rows end at the scan, before their text is read.
-- Units of the contract: Fahrenheit -> degC by item, or where a Celsius item holds 79 or more;
-- inch -> cm; pound -> kg; a saturation of 1 or less is a fraction -> %; inspired oxygen above 1 is
-- in percent -> fraction, a charted 0.5 stays 0.5. Each of these only by the correction it names;
-- without it, as the authors' code has it (specs ddl-cxr 3.3): numbers are read from the text, of
-- pressures "a/b" a part, a laboratory text that is no plain number is lost.
-- charted: the text, where values at one instant are compared as texts (without $numeric_ties).
SELECT
    converted.subject_id
    , converted.hadm_id
    , COALESCE(converted.stay_id, stay.stay_id) AS stay_id
    , converted.charttime AS event_at
    , GREATEST(converted.charttime, converted.storetime) AS known_at
    , converted.variable
    , converted.measured AS value
    , CASE
        WHEN NOT $numeric_ties AND converted.transform IN ('category', 'uncleaned')
            THEN converted.text
    END AS charted
    , CAST('chartevents' AS measurement_source) AS source
    , converted.source_row
    , CASE
        WHEN
            converted.stay_id <> stay.stay_id
            THEN '01 charted in another stay'
        WHEN converted.charttime IS NULL THEN '02 no time'
        WHEN converted.measured IS NULL THEN '03 no number, or a text that is no category'
        WHEN
            $plausible_range
            AND (converted.measured BETWEEN converted.low AND converted.high) IS FALSE
            THEN '04 outside the plausible range'
    END AS drop_reason
FROM (
    SELECT
        read.subject_id
        , read.hadm_id
        , read.stay_id
        , read.charttime
        , read.storetime
        , read.source_row
        , read.variable
        , read.transform
        , read.text
        , read.low
        , read.high
        , CASE
            WHEN read.transform IN ('category', 'score') THEN read.position
            WHEN NOT ISFINITE(read.number) THEN NULL
            WHEN read.transform = 'fraction'
                THEN
                    CASE
                        WHEN $oxygen_by_size AND read.number <= 1 THEN read.number
                        ELSE read.number / 100
                    END
            WHEN
                read.transform IN ('fahrenheit', 'celsius')
                AND (
                    read.number >= 79
                    OR ($fahrenheit_by_item AND read.transform = 'fahrenheit')
                )
                THEN (read.number - 32) * 5 / 9
            WHEN
                read.transform = 'inch' AND $height_in_centimetres
                THEN read.number * 2.54
            WHEN read.transform = 'pound' THEN read.number * CAST(0.453592 AS DOUBLE)
            WHEN read.transform = 'percent' AND read.number <= 1 THEN read.number * 100
            ELSE read.number
        END AS measured
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
            , item.low
            , item.high
            , chart.value AS text
            , CASE
                WHEN
                    NOT $eye_opening_none
                    AND $none_text = 'lost'
                    AND chart.value = 'None'
                    THEN NULL
                ELSE charted_category.position
            END AS position
            , CASE
                WHEN $numbers_from_valuenum THEN chart.valuenum
                WHEN
                    item.transform IN ('laboratory', 'percent')
                    AND NOT REGEXP_FULL_MATCH(chart.value, '[0-9]+(\.[0-9]*)?|\.[0-9]+')
                    THEN NULL
                WHEN item.transform = 'systolic'
                    THEN TRY_CAST(SPLIT_PART(chart.value, '/', 1) AS DOUBLE)
                WHEN item.transform = 'diastolic' AND CONTAINS(chart.value, '/')
                    THEN TRY_CAST(SPLIT_PART(chart.value, '/', 2) AS DOUBLE)
                ELSE TRY_CAST(chart.value AS DOUBLE)
            END AS number
        FROM chartevents AS chart
        INNER JOIN measured_item AS item
            ON chart.itemid = item.itemid AND item.source = 'chartevents'
        LEFT JOIN charted_category
            ON
                item.variable = charted_category.variable
                AND CASE
                    WHEN item.transform = 'score'
                        THEN CAST(TRY_CAST(chart.valuenum AS INTEGER) AS VARCHAR)
                    WHEN item.transform = 'category'
                        THEN chart.value
                END = charted_category.charted
    ) AS read
) AS converted
INNER JOIN measured_stay AS stay
    ON converted.hadm_id = stay.hadm_id
ORDER BY subject_id, event_at, source, source_row
