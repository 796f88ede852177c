-- Grain: one row per datetimeevents row, dropped ones with a reason.
-- Kept: every row. The value is a date, shifted as all of the patient's: its text says how many
-- days before or after the charting it lies.
-- Text: the table, then each column that holds something and its value, CHR(31) between the parts.
SELECT
    dated.subject_id
    , COALESCE(dated.hadm_id, by_time.hadm_id) AS hadm_id
    , dated.charttime AS event_at
    , GREATEST(dated.charttime, dated.storetime) AS known_at
    , CAST(9 AS UTINYINT) AS event_table
    , dated.source_row
    , CONCAT_WS(
        CHR(31)
        , 'datetimeevents'
        , 'itemid' || CHR(31) || NULLIF(TRIM(item.label), '')
        , 'value' || CHR(31) || CASE
            WHEN dated.days = 0 THEN 'same day'
            WHEN dated.days > 0 THEN CONCAT_WS(' ', dated.days, 'days before')
            WHEN dated.days < 0 THEN CONCAT_WS(' ', -dated.days, 'days after')
        END
        , 'warning' || CHR(31) || NULLIF(dated.warning, 0)
    ) AS text
    , CASE
        WHEN
            COALESCE(dated.hadm_id, by_time.hadm_id) IS NULL
            THEN '01 no admission named, and charted in none that has films'
        WHEN admission.hadm_id IS NULL THEN '02 admission without the films a sample needs'
        WHEN dated.charttime IS NULL THEN '03 no time'
    END AS drop_reason
FROM (
    SELECT
        *
        , DATE_DIFF('day', value, charttime) AS days
    FROM datetimeevents
) AS dated
LEFT JOIN d_items AS item
    ON dated.itemid = item.itemid
LEFT JOIN admission_time AS by_time
    ON
        CASE WHEN dated.hadm_id IS NULL THEN dated.subject_id END = by_time.subject_id
        AND dated.charttime >= by_time.from_at
        AND dated.charttime < by_time.until_at
LEFT JOIN filmed_admission AS admission
    ON COALESCE(dated.hadm_id, by_time.hadm_id) = admission.hadm_id
ORDER BY subject_id, event_at, event_table, source_row
