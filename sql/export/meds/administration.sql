-- Grain: one row per emar row: EMAR//<medication>//<what was done>, known when stored.
SELECT
    subject_id
    , hadm_id
    , charttime AS event_at
    , GREATEST(charttime, storetime) AS known_at
    , 'EMAR//' || COALESCE(NULLIF(TRIM(medication), ''), 'UNK')
    || '//' || COALESCE(NULLIF(TRIM(event_txt), ''), 'UNK') AS code
    , CAST(NULL AS FLOAT) AS numeric_value
    , CAST(NULL AS VARCHAR) AS text_value
    , source_row
    , CASE WHEN charttime IS NULL THEN '01 no time' END AS drop_reason
FROM emar
ORDER BY subject_id, source_row
