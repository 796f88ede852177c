-- Grain: one row per services row, dropped ones with a reason.
-- Kept: every row. Known when the service takes over: no storetime is recorded.
-- Text: the table, then each column that holds something and its value, CHR(31) between the parts.
SELECT
    service.subject_id
    , COALESCE(service.hadm_id, by_time.hadm_id) AS hadm_id
    , service.transfertime AS event_at
    , service.transfertime AS known_at
    , CAST(11 AS UTINYINT) AS event_table
    , service.source_row
    , CONCAT_WS(
        CHR(31)
        , 'services'
        , 'prev_service' || CHR(31) || NULLIF(TRIM(service.prev_service), '')
        , 'curr_service' || CHR(31) || NULLIF(TRIM(service.curr_service), '')
    ) AS text
    , CASE
        WHEN
            COALESCE(service.hadm_id, by_time.hadm_id) IS NULL
            THEN '01 no admission named, and begun in none that has films'
        WHEN admission.hadm_id IS NULL THEN '02 admission without the films a sample needs'
        WHEN service.transfertime IS NULL THEN '03 no time'
    END AS drop_reason
FROM services AS service
LEFT JOIN admission_time AS by_time
    ON
        CASE WHEN service.hadm_id IS NULL THEN service.subject_id END = by_time.subject_id
        AND service.transfertime >= by_time.from_at
        AND service.transfertime < by_time.until_at
LEFT JOIN filmed_admission AS admission
    ON COALESCE(service.hadm_id, by_time.hadm_id) = admission.hadm_id
ORDER BY subject_id, event_at, event_table, source_row
