-- Grain: one row per services row: SERVICE//<the one that takes over>.
SELECT
    subject_id
    , hadm_id
    , transfertime AS event_at
    , transfertime AS known_at
    , 'SERVICE//' || COALESCE(NULLIF(TRIM(curr_service), ''), 'UNK') AS code
    , CAST(NULL AS FLOAT) AS numeric_value
    , CAST(NULL AS VARCHAR) AS text_value
    , source_row
    , CASE WHEN transfertime IS NULL THEN '01 no time' END AS drop_reason
FROM services
ORDER BY subject_id, source_row
