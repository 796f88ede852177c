-- Grain: no row; the columns and types of the events that are kept, with their texts.
SELECT
    CAST(NULL AS BIGINT) AS subject_id
    , CAST(NULL AS BIGINT) AS hadm_id
    , CAST(NULL AS TIMESTAMP) AS event_at
    , CAST(NULL AS TIMESTAMP) AS ends_at
    , CAST(NULL AS TIMESTAMP) AS known_at
    , CAST(NULL AS UTINYINT) AS event_table
    , CAST(NULL AS BIGINT) AS source_row
    , CAST(NULL AS VARCHAR) AS text
    , CAST(NULL AS VARCHAR) AS drop_reason
WHERE FALSE
ORDER BY subject_id, event_at, event_table, source_row
