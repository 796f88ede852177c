-- Grain: one row per transfers row, dropped ones with a reason.
-- Kept: every row. Known when the patient comes in: no storetime is recorded. A stay in the
-- emergency department often names no admission.
-- Text: the table, then each column that holds something and its value, CHR(31) between the parts.
SELECT
    transfer.subject_id
    , COALESCE(transfer.hadm_id, by_time.hadm_id) AS hadm_id
    , transfer.intime AS event_at
    , CASE WHEN transfer.outtime > transfer.intime THEN transfer.outtime END AS ends_at
    , transfer.intime AS known_at
    , CAST(10 AS UTINYINT) AS event_table
    , transfer.source_row
    , CONCAT_WS(
        CHR(31)
        , 'transfers'
        , 'eventtype' || CHR(31) || NULLIF(TRIM(transfer.eventtype), '')
        , 'careunit' || CHR(31) || NULLIF(TRIM(transfer.careunit), '')
    ) AS text
    , CASE
        WHEN
            COALESCE(transfer.hadm_id, by_time.hadm_id) IS NULL
            THEN '01 no admission named, and begun in none that has films'
        WHEN admission.hadm_id IS NULL THEN '02 admission without the films a sample needs'
        WHEN transfer.intime IS NULL THEN '03 no time'
    END AS drop_reason
FROM transfers AS transfer
LEFT JOIN admission_time AS by_time
    ON
        CASE WHEN transfer.hadm_id IS NULL THEN transfer.subject_id END = by_time.subject_id
        AND transfer.intime >= by_time.from_at
        AND transfer.intime < by_time.until_at
LEFT JOIN filmed_admission AS admission
    ON COALESCE(transfer.hadm_id, by_time.hadm_id) = admission.hadm_id
ORDER BY subject_id, event_at, event_table, source_row
