-- Grain: one row per pair_id, all kept: a sample of two films, and if $null_event_samples one more
-- per target film, in which nothing happens.
-- A sample without events (specs ehrxdiff 5) is, for each target film, the first of its pairs in
-- the order of the previous film's dicom_id; its target is that previous film.
SELECT
    *
    , CAST(NULL AS BIGINT) AS event_hours
    , FALSE AS is_null_event
FROM merged_pair
WHERE drop_reason IS NULL
UNION ALL BY NAME
SELECT
    first_pair.* REPLACE (
        LEFT(SHA256(CONCAT_WS('|', 'null event', first_pair.pair_id)), 16) AS pair_id
        , first_pair.previous_study_id AS target_study_id
        , first_pair.previous_dicom_id AS target_dicom_id
        , first_pair.previous_at AS target_at
        , first_pair.previous_view AS target_view
        , first_pair.previous_study_began_at AS target_study_began_at
    )
    , CAST(NULL AS BIGINT) AS event_hours
    , TRUE AS is_null_event
FROM (
    SELECT *
    FROM merged_pair
    WHERE
        drop_reason IS NULL
        AND $null_event_samples
    QUALIFY
        ROW_NUMBER() OVER (
            PARTITION BY target_dicom_id ORDER BY previous_dicom_id, hadm_id
        ) = 1
) AS first_pair
ORDER BY pair_id
