-- Grain: no row; the columns and types of the index of a recipe that names no file.
SELECT
    CAST(NULL AS BIGINT) AS subject_id
    , CAST(NULL AS TIMESTAMP) AS prediction_at
    , CAST(NULL AS DOUBLE) AS label
WHERE FALSE
ORDER BY subject_id, prediction_at
