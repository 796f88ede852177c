-- Grain: one row per omr row: OMR//<name>. It has a date alone: known at the next midnight.
-- text_value: what is no number, such as 120/80.
SELECT
    subject_id
    , CAST(NULL AS BIGINT) AS hadm_id
    , CAST(chartdate AS TIMESTAMP) AS event_at
    , CAST(chartdate AS TIMESTAMP) + TO_DAYS(1) AS known_at
    , 'OMR//' || COALESCE(NULLIF(TRIM(result_name), ''), 'UNK') AS code
    , TRY_CAST(result_value AS FLOAT) AS numeric_value
    , CASE
        WHEN TRY_CAST(result_value AS FLOAT) IS NULL THEN NULLIF(TRIM(result_value), '')
    END AS text_value
    , source_row
    , CASE WHEN chartdate IS NULL THEN '01 no time' END AS drop_reason
FROM omr
ORDER BY subject_id, source_row
