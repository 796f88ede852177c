-- Grain: one row per procedureevents row and edge: PROCEDURE//START//<itemid>, and
-- PROCEDURE//END//<itemid>//<unit> with what is not known before, its length. Neither is known
-- before it is stored.
SELECT
    done.subject_id
    , done.hadm_id
    , CASE edge.name WHEN 'START' THEN done.starttime ELSE done.endtime END AS event_at
    , GREATEST(
        CASE edge.name WHEN 'START' THEN done.starttime ELSE done.endtime END, done.storetime
    ) AS known_at
    , 'PROCEDURE//' || edge.name || '//' || COALESCE(CAST(done.itemid AS VARCHAR), 'UNK')
    || CASE
        WHEN edge.name = 'END' THEN '//' || COALESCE(NULLIF(TRIM(done.valueuom), ''), 'UNK')
        ELSE ''
    END AS code
    , TRY_CAST(CASE WHEN edge.name = 'END' THEN done.value END AS FLOAT) AS numeric_value
    , CAST(NULL AS VARCHAR) AS text_value
    , done.source_row
    , CASE
        WHEN
            CASE edge.name WHEN 'START' THEN done.starttime ELSE done.endtime END IS NULL
            THEN '01 no time'
        WHEN
            edge.name = 'END' AND done.endtime < done.starttime
            THEN '02 ends before it starts'
    END AS drop_reason
FROM procedureevents AS done
CROSS JOIN (VALUES ('START'), ('END')) AS edge (name)
ORDER BY subject_id, source_row, code
