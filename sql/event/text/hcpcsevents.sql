-- Grain: one row per hcpcsevents row, dropped ones with a reason.
-- Kept: every row. The table gives days without a time: a row counts from the end of its day, the
-- next midnight. Codes are given for billing once the patient has left: known at discharge, so as-of
-- no window before it holds any.
-- Text: the table, then each column that holds something and its value, CHR(31) between the parts.
SELECT
    billed.subject_id
    , COALESCE(billed.hadm_id, by_time.hadm_id) AS hadm_id
    , billed.event_at
    , GREATEST(billed.event_at, admission.dischtime) AS known_at
    , CAST(14 AS UTINYINT) AS event_table
    , billed.source_row
    , CONCAT_WS(
        CHR(31)
        , 'hcpcsevents'
        , 'hcpcs_cd' || CHR(31)
        || COALESCE(NULLIF(TRIM(billed.short_description), ''), NULLIF(TRIM(billed.hcpcs_cd), ''))
    ) AS text
    , CASE
        WHEN
            COALESCE(billed.hadm_id, by_time.hadm_id) IS NULL
            THEN '01 no admission named, and billed in none that has films'
        WHEN admission.hadm_id IS NULL THEN '02 admission without the films a sample needs'
        WHEN billed.event_at IS NULL THEN '03 no time'
    END AS drop_reason
FROM (
    SELECT
        *
        , chartdate + TO_DAYS(1) AS event_at
    FROM hcpcsevents
) AS billed
LEFT JOIN admission_time AS by_time
    ON
        CASE WHEN billed.hadm_id IS NULL THEN billed.subject_id END = by_time.subject_id
        AND billed.event_at >= by_time.from_at
        AND billed.event_at < by_time.until_at
LEFT JOIN filmed_admission AS admission
    ON COALESCE(billed.hadm_id, by_time.hadm_id) = admission.hadm_id
ORDER BY subject_id, event_at, event_table, source_row
