-- Grain: one row per omr row, dropped ones with a reason.
-- Kept: every row. The table gives days without a time and names no admission: a row counts from
-- the end of its day, the next midnight, and belongs where that falls.
-- Text: the table, then each column that holds something and its value, CHR(31) between the parts.
SELECT
    note.subject_id
    , by_time.hadm_id
    , note.event_at
    , note.event_at AS known_at
    , CAST(12 AS UTINYINT) AS event_table
    , note.source_row
    , CONCAT_WS(
        CHR(31)
        , 'omr'
        , 'result_name' || CHR(31) || NULLIF(TRIM(note.result_name), '')
        , 'result_value' || CHR(31) || NULLIF(TRIM(note.result_value), '')
    ) AS text
    , CASE
        WHEN by_time.hadm_id IS NULL THEN '01 noted in no admission that has films'
    END AS drop_reason
FROM (
    SELECT
        *
        , chartdate + TO_DAYS(1) AS event_at
    FROM omr
) AS note
LEFT JOIN admission_time AS by_time
    ON
        note.subject_id = by_time.subject_id
        AND note.event_at >= by_time.from_at
        AND note.event_at < by_time.until_at
ORDER BY subject_id, event_at, event_table, source_row
