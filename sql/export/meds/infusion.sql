-- Grain: one row per inputevents row and edge: INFUSION//START//<itemid>//<unit of its rate>, with
-- the rate, and INFUSION//END//<itemid>//<unit of its amount>, with the amount, which is not known
-- before. Neither is known before it is stored.
SELECT
    input.subject_id
    , input.hadm_id
    , CASE edge.name WHEN 'START' THEN input.starttime ELSE input.endtime END AS event_at
    , GREATEST(
        CASE edge.name WHEN 'START' THEN input.starttime ELSE input.endtime END, input.storetime
    ) AS known_at
    , 'INFUSION//' || edge.name || '//' || COALESCE(CAST(input.itemid AS VARCHAR), 'UNK')
    || '//' || COALESCE(
        NULLIF(TRIM(CASE edge.name WHEN 'START' THEN input.rateuom ELSE input.amountuom END), '')
        , 'UNK'
    ) AS code
    , TRY_CAST(CASE edge.name WHEN 'START' THEN input.rate ELSE input.amount END AS FLOAT)
        AS numeric_value
    , CAST(NULL AS VARCHAR) AS text_value
    , input.source_row
    , CASE
        WHEN
            CASE edge.name WHEN 'START' THEN input.starttime ELSE input.endtime END IS NULL
            THEN '01 no time'
        WHEN
            edge.name = 'END' AND input.endtime < input.starttime
            THEN '02 ends before it starts'
    END AS drop_reason
FROM inputevents AS input
CROSS JOIN (VALUES ('START'), ('END')) AS edge (name)
ORDER BY subject_id, source_row, code
