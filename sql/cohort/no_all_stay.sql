-- Grain: no row; the columns and types of the stays of a recipe without the benchmark's.
SELECT
    CAST(NULL AS BIGINT) AS subject_id
    , CAST(NULL AS BIGINT) AS hadm_id
    , CAST(NULL AS BIGINT) AS stay_id
    , CAST(NULL AS VARCHAR) AS last_careunit
    , CAST(NULL AS TIMESTAMP) AS intime
    , CAST(NULL AS TIMESTAMP) AS outtime
    , CAST(NULL AS DOUBLE) AS los
    , CAST(NULL AS TIMESTAMP) AS admittime
    , CAST(NULL AS TIMESTAMP) AS dischtime
    , CAST(NULL AS TIMESTAMP) AS deathtime
    , CAST(NULL AS DATE) AS dod
    , CAST(NULL AS BIGINT) AS anchor_age
    , CAST(NULL AS BIGINT) AS age
    , CAST(NULL AS VARCHAR) AS sex
    , CAST(NULL AS BOOLEAN) AS died_in_hospital
    , CAST(NULL AS VARCHAR) AS drop_reason
WHERE FALSE
ORDER BY stay_id
