-- Grain: one row per emar row, dropped ones with a reason.
-- Kept: every row.
-- Text: the table, then each column that holds something and its value, CHR(31) between the parts.
SELECT
    given.subject_id
    , COALESCE(given.hadm_id, by_time.hadm_id) AS hadm_id
    , given.charttime AS event_at
    , GREATEST(given.charttime, given.storetime) AS known_at
    , CAST(7 AS UTINYINT) AS event_table
    , given.source_row
    , CONCAT_WS(
        CHR(31)
        , 'emar'
        , 'medication' || CHR(31) || NULLIF(TRIM(given.medication), '')
        , 'event_txt' || CHR(31) || NULLIF(TRIM(given.event_txt), '')
    ) AS text
    , CASE
        WHEN
            COALESCE(given.hadm_id, by_time.hadm_id) IS NULL
            THEN '01 no admission named, and charted in none that has films'
        WHEN admission.hadm_id IS NULL THEN '02 admission without the films a sample needs'
        WHEN given.charttime IS NULL THEN '03 no time'
    END AS drop_reason
FROM emar AS given
LEFT JOIN admission_time AS by_time
    ON
        CASE WHEN given.hadm_id IS NULL THEN given.subject_id END = by_time.subject_id
        AND given.charttime >= by_time.from_at
        AND given.charttime < by_time.until_at
LEFT JOIN filmed_admission AS admission
    ON COALESCE(given.hadm_id, by_time.hadm_id) = admission.hadm_id
ORDER BY subject_id, event_at, event_table, source_row
