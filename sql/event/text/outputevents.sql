-- Grain: one row per outputevents row, dropped ones with a reason.
-- Kept: every item.
-- Text: the table, then each column that holds something and its value, CHR(31) between the parts;
-- numbers in their shortest form, to 4 decimals.
SELECT
    output.subject_id
    , COALESCE(output.hadm_id, by_time.hadm_id) AS hadm_id
    , output.charttime AS event_at
    , GREATEST(output.charttime, output.storetime) AS known_at
    , CAST(4 AS UTINYINT) AS event_table
    , output.source_row
    , CONCAT_WS(
        CHR(31)
        , 'outputevents'
        , 'itemid' || CHR(31) || NULLIF(TRIM(item.label), '')
        , 'value' || CHR(31) || PRINTF('%.15g', ROUND(output.value, 4))
        , 'valueuom' || CHR(31) || NULLIF(TRIM(output.valueuom), '')
    ) AS text
    , CASE
        WHEN
            COALESCE(output.hadm_id, by_time.hadm_id) IS NULL
            THEN '01 no admission named, and charted in none that has films'
        WHEN admission.hadm_id IS NULL THEN '02 admission without the films a sample needs'
        WHEN output.charttime IS NULL THEN '03 no time'
    END AS drop_reason
FROM outputevents AS output
LEFT JOIN d_items AS item
    ON output.itemid = item.itemid
LEFT JOIN admission_time AS by_time
    ON
        CASE WHEN output.hadm_id IS NULL THEN output.subject_id END = by_time.subject_id
        AND output.charttime >= by_time.from_at
        AND output.charttime < by_time.until_at
LEFT JOIN filmed_admission AS admission
    ON COALESCE(output.hadm_id, by_time.hadm_id) = admission.hadm_id
ORDER BY subject_id, event_at, event_table, source_row
