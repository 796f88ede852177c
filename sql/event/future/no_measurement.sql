-- Grain: no row; the columns and types of measurement.parquet of the rules future.
SELECT
    CAST(NULL AS BIGINT) AS subject_id
    , CAST(NULL AS BIGINT) AS hadm_id
    , CAST(NULL AS TIMESTAMP) AS event_at
    , CAST(NULL AS TIMESTAMP) AS ends_at
    , CAST(NULL AS TIMESTAMP) AS known_at
    , CAST(NULL AS contract_variable) AS variable
    , CAST(NULL AS DOUBLE) AS value
    , CAST(NULL AS measurement_source) AS source
    , CAST(NULL AS BIGINT) AS source_row
    , CAST(NULL AS VARCHAR) AS drop_reason
WHERE FALSE
ORDER BY hadm_id, event_at, source, source_row
