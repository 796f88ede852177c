-- Grain: no row; the columns and types of outpatient records of a release that has none.
SELECT
    CAST(NULL AS BIGINT) AS subject_id
    , CAST(NULL AS DATE) AS chartdate
    , CAST(NULL AS BIGINT) AS seq_num
    , CAST(NULL AS VARCHAR) AS result_name
    , CAST(NULL AS VARCHAR) AS result_value
    , CAST(NULL AS BIGINT) AS source_row
WHERE FALSE
ORDER BY source_row
