-- Grain: one row per chartevents row, dropped ones with a reason.
-- Kept: the categories of chart_category.sql, or every row ($selection).
-- Text: the table, then each column that holds something and its value, CHR(31) between the parts;
-- numbers in their shortest form, to 4 decimals.
SELECT
    chart.subject_id
    , COALESCE(chart.hadm_id, by_time.hadm_id) AS hadm_id
    , chart.charttime AS event_at
    , GREATEST(chart.charttime, chart.storetime) AS known_at
    , CAST(3 AS UTINYINT) AS event_table
    , chart.source_row
    , CONCAT_WS(
        CHR(31)
        , 'chartevents'
        , 'itemid' || CHR(31) || NULLIF(TRIM(item.label), '')
        , 'value' || CHR(31) || CASE
            WHEN
                LENGTH(chart.value) > 5
                AND REGEXP_FULL_MATCH(chart.value, '-?[0-9]*\.[0-9]{5,}')
                THEN PRINTF('%.15g', ROUND(CAST(chart.value AS DOUBLE), 4))
            ELSE NULLIF(NULLIF(TRIM(chart.value), ''), '___')
        END
        , 'valuenum' || CHR(31) || CASE
            WHEN TRY_CAST(chart.value AS DOUBLE) IS DISTINCT FROM chart.valuenum
                THEN PRINTF('%.15g', ROUND(chart.valuenum, 4))
        END
        , 'valueuom' || CHR(31) || NULLIF(TRIM(chart.valueuom), '')
        , 'warning' || CHR(31) || NULLIF(chart.warning, 0)
    ) AS text
    , CASE
        WHEN $selection = 'listed' AND item.itemid IS NULL THEN '01 item not used'
        WHEN
            COALESCE(chart.hadm_id, by_time.hadm_id) IS NULL
            THEN '02 no admission named, and charted in none that has films'
        WHEN admission.hadm_id IS NULL THEN '03 admission without the films a sample needs'
        WHEN chart.charttime IS NULL THEN '04 no time'
    END AS drop_reason
FROM chartevents AS chart
LEFT JOIN (
    SELECT
        d_items.itemid
        , d_items.label
    FROM d_items
    LEFT JOIN chart_category
        ON d_items.category = chart_category.category
    WHERE
        d_items.linksto = 'chartevents'
        AND ($selection = 'all' OR chart_category.category IS NOT NULL)
) AS item
    ON chart.itemid = item.itemid
LEFT JOIN admission_time AS by_time
    ON
        CASE WHEN chart.hadm_id IS NULL THEN chart.subject_id END = by_time.subject_id
        AND chart.charttime >= by_time.from_at
        AND chart.charttime < by_time.until_at
LEFT JOIN filmed_admission AS admission
    ON COALESCE(chart.hadm_id, by_time.hadm_id) = admission.hadm_id
ORDER BY subject_id, event_at, event_table, source_row
