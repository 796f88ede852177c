-- Grain: one row per laboratory result or culture that names no admission but was taken during one
-- with films; none unless $results_by_time.
-- Interval: [admittime, dischtime], both ends included. Of two admissions the later begun wins.
SELECT
    result.event_table
    , result.source_row
    , MAX_BY(admission.hadm_id, (admission.admittime, admission.hadm_id)) AS hadm_id
FROM (
    SELECT
        CAST(0 AS UTINYINT) AS event_table
        , source_row
        , subject_id
        , charttime
    FROM labevents
    WHERE hadm_id IS NULL
    UNION ALL
    SELECT
        CAST(5 AS UTINYINT) AS event_table
        , source_row
        , subject_id
        , charttime
    FROM microbiologyevents
    WHERE hadm_id IS NULL
) AS result
INNER JOIN filmed_admission AS admission
    ON
        result.subject_id = admission.subject_id
        AND result.charttime BETWEEN admission.admittime AND admission.dischtime
WHERE $results_by_time
GROUP BY
    result.event_table
    , result.source_row
ORDER BY event_table, source_row
