-- Grain: one row per outputevents row: OUTPUT//<itemid>//<unit>, known when stored.
SELECT
    subject_id
    , hadm_id
    , charttime AS event_at
    , GREATEST(charttime, storetime) AS known_at
    , 'OUTPUT//' || COALESCE(CAST(itemid AS VARCHAR), 'UNK')
    || '//' || COALESCE(NULLIF(TRIM(valueuom), ''), 'UNK') AS code
    , TRY_CAST(value AS FLOAT) AS numeric_value
    , CAST(NULL AS VARCHAR) AS text_value
    , source_row
    , CASE WHEN charttime IS NULL THEN '01 no time' END AS drop_reason
FROM outputevents
ORDER BY subject_id, source_row
