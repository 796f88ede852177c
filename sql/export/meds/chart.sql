-- Grain: one row per chartevents row: CHART//<itemid>//<unit>, known when stored. text_value: what
-- the number does not say.
SELECT
    subject_id
    , hadm_id
    , charttime AS event_at
    , GREATEST(charttime, storetime) AS known_at
    , 'CHART//' || COALESCE(CAST(itemid AS VARCHAR), 'UNK')
    || '//' || COALESCE(NULLIF(TRIM(valueuom), ''), 'UNK') AS code
    , TRY_CAST(valuenum AS FLOAT) AS numeric_value
    , CASE
        WHEN valuenum IS NULL OR TRY_CAST(value AS DOUBLE) IS DISTINCT FROM valuenum
            THEN NULLIF(NULLIF(TRIM(value), ''), '___')
    END AS text_value
    , source_row
    , CASE WHEN charttime IS NULL THEN '01 no time' END AS drop_reason
FROM chartevents
ORDER BY subject_id, source_row
