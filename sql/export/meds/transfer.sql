-- Grain: one row per transfers row but discharges, which admission.sql gives:
-- TRANSFER//<kind>//<unit> on its arrival there.
SELECT
    subject_id
    , hadm_id
    , intime AS event_at
    , intime AS known_at
    , 'TRANSFER//' || COALESCE(NULLIF(TRIM(eventtype), ''), 'UNK')
    || '//' || COALESCE(NULLIF(TRIM(careunit), ''), 'UNK') AS code
    , CAST(NULL AS FLOAT) AS numeric_value
    , CAST(NULL AS VARCHAR) AS text_value
    , source_row
    , CASE WHEN intime IS NULL THEN '01 no time' END AS drop_reason
FROM transfers
WHERE eventtype IS DISTINCT FROM 'discharge'
ORDER BY subject_id, source_row
