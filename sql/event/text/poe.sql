-- Grain: one row per poe row, dropped ones with a reason.
-- Kept: every row, the order of the target film itself among them: no shipped recipe names the
-- table.
-- Known when it is placed. Its status and what discontinues it come later and are left out.
-- Text: the table, then each column that holds something and its value, CHR(31) between the parts.
SELECT
    placed.subject_id
    , COALESCE(placed.hadm_id, by_time.hadm_id) AS hadm_id
    , placed.ordertime AS event_at
    , placed.ordertime AS known_at
    , CAST(15 AS UTINYINT) AS event_table
    , placed.source_row
    , CONCAT_WS(
        CHR(31)
        , 'poe'
        , 'order_type' || CHR(31) || NULLIF(TRIM(placed.order_type), '')
        , 'order_subtype' || CHR(31) || NULLIF(TRIM(placed.order_subtype), '')
        , 'transaction_type' || CHR(31) || NULLIF(TRIM(placed.transaction_type), '')
    ) AS text
    , CASE
        WHEN
            COALESCE(placed.hadm_id, by_time.hadm_id) IS NULL
            THEN '01 no admission named, and placed in none that has films'
        WHEN admission.hadm_id IS NULL THEN '02 admission without the films a sample needs'
        WHEN placed.ordertime IS NULL THEN '03 no time'
    END AS drop_reason
FROM poe AS placed
LEFT JOIN admission_time AS by_time
    ON
        CASE WHEN placed.hadm_id IS NULL THEN placed.subject_id END = by_time.subject_id
        AND placed.ordertime >= by_time.from_at
        AND placed.ordertime < by_time.until_at
LEFT JOIN filmed_admission AS admission
    ON COALESCE(placed.hadm_id, by_time.hadm_id) = admission.hadm_id
ORDER BY subject_id, event_at, event_table, source_row
