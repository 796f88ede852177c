-- Grain: one row per ICU stay and edge: ICU_ADMISSION//<first unit> and ICU_DISCHARGE//<last unit>.
SELECT
    stay.subject_id
    , stay.hadm_id
    , CASE edge.name WHEN 'ADMISSION' THEN stay.intime ELSE stay.outtime END AS event_at
    , CASE edge.name WHEN 'ADMISSION' THEN stay.intime ELSE stay.outtime END AS known_at
    , 'ICU_' || edge.name || '//' || COALESCE(
        NULLIF(
            CASE edge.name
                WHEN 'ADMISSION' THEN TRIM(stay.first_careunit)
                ELSE TRIM(stay.last_careunit)
            END
            , ''
        )
        , 'UNK'
    ) AS code
    , CAST(NULL AS FLOAT) AS numeric_value
    , CAST(NULL AS VARCHAR) AS text_value
    , stay.source_row
    , CASE
        WHEN
            CASE edge.name WHEN 'ADMISSION' THEN stay.intime ELSE stay.outtime END IS NULL
            THEN '01 no time'
    END AS drop_reason
FROM icustays AS stay
CROSS JOIN (VALUES ('ADMISSION'), ('DISCHARGE')) AS edge (name)
ORDER BY subject_id, source_row, code
