-- Grain: one row per procedures_icd row, dropped ones with a reason.
-- Kept: every row. The table gives days without a time: a row counts from the end of its day, the
-- next midnight. Codes are given for billing once the patient has left: known at discharge, so as-of
-- no window before it holds any.
-- Text: the table, then each column that holds something and its value, CHR(31) between the parts.
SELECT
    coded.subject_id
    , COALESCE(coded.hadm_id, by_time.hadm_id) AS hadm_id
    , coded.event_at
    , GREATEST(coded.event_at, admission.dischtime) AS known_at
    , CAST(13 AS UTINYINT) AS event_table
    , coded.source_row
    , CONCAT_WS(
        CHR(31)
        , 'procedures_icd'
        , 'icd_code' || CHR(31)
        || COALESCE(NULLIF(TRIM(title.long_title), ''), NULLIF(TRIM(coded.icd_code), ''))
    ) AS text
    , CASE
        WHEN
            COALESCE(coded.hadm_id, by_time.hadm_id) IS NULL
            THEN '01 no admission named, and coded in none that has films'
        WHEN admission.hadm_id IS NULL THEN '02 admission without the films a sample needs'
        WHEN coded.event_at IS NULL THEN '03 no time'
    END AS drop_reason
FROM (
    SELECT
        *
        , chartdate + TO_DAYS(1) AS event_at
    FROM procedures_icd
) AS coded
LEFT JOIN (
    SELECT
        icd_version
        , TRIM(icd_code) AS icd_code
        , MIN(long_title) AS long_title
    FROM d_icd_procedures
    GROUP BY ALL
) AS title
    ON coded.icd_version = title.icd_version AND TRIM(coded.icd_code) = title.icd_code
LEFT JOIN admission_time AS by_time
    ON
        CASE WHEN coded.hadm_id IS NULL THEN coded.subject_id END = by_time.subject_id
        AND coded.event_at >= by_time.from_at
        AND coded.event_at < by_time.until_at
LEFT JOIN filmed_admission AS admission
    ON COALESCE(coded.hadm_id, by_time.hadm_id) = admission.hadm_id
ORDER BY subject_id, event_at, event_table, source_row
