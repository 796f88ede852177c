-- Grain: one row per (hadm_id, time) with all three responses of the coma scale: their sum, known when
-- the last of them was. Of several at one time the one known first counts, then the best: one known
-- later must not change a total that was known before.
-- Reads wide_chart, the rows of measurement/chartevents.sql.
SELECT
    ANY_VALUE(subject_id) AS subject_id
    , hadm_id
    , event_at
    , CAST(NULL AS TIMESTAMP) AS ends_at
    , GREATEST(
        MIN(known_at) FILTER (WHERE variable = 'GCS eye opening')
        , MIN(known_at) FILTER (WHERE variable = 'GCS motor response')
        , MIN(known_at) FILTER (WHERE variable = 'GCS verbal response')
    ) AS known_at
    , CAST('GCS total' AS contract_variable) AS variable
    , MIN_BY(value, (known_at, -value)) FILTER (WHERE variable = 'GCS eye opening')
    + MIN_BY(value, (known_at, -value)) FILTER (WHERE variable = 'GCS motor response')
    + MIN_BY(value, (known_at, -value)) FILTER (WHERE variable = 'GCS verbal response') AS value
    , CAST('gcs_total' AS measurement_source) AS source
    , MIN(source_row) AS source_row
    , CASE
        WHEN COUNT(DISTINCT variable) < 3 THEN '01 a response is not charted at this time'
    END AS drop_reason
FROM wide_chart
WHERE
    drop_reason IS NULL
    AND variable IN ('GCS eye opening', 'GCS motor response', 'GCS verbal response')
GROUP BY
    hadm_id
    , event_at
ORDER BY hadm_id, event_at, source, source_row
