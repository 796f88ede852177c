-- Grain: one row per (subject_id, from_at): a stretch of a patient's time that is one admission's.
-- Interval: [from_at, until_at); an admission with films lasts from begins_at to dischtime, both
-- included, to the microsecond. Of two admissions at one time the later begun has it. No row overlaps
-- another of its patient, so a row that names no admission finds one at most; none unless
-- $results_by_time.
SELECT
    stretch.subject_id
    , stretch.from_at
    , stretch.until_at
    , MAX_BY(admission.hadm_id, (admission.begins_at, admission.hadm_id)) AS hadm_id
FROM (
    SELECT
        subject_id
        , edge_at AS from_at
        , LEAD(edge_at) OVER (PARTITION BY subject_id ORDER BY edge_at) AS until_at
    FROM (
        SELECT
            subject_id
            , begins_at AS edge_at
        FROM filmed_admission
        UNION
        SELECT
            subject_id
            , dischtime + TO_MICROSECONDS(1) AS edge_at
        FROM filmed_admission
    ) AS edge
) AS stretch
INNER JOIN filmed_admission AS admission
    ON
        stretch.subject_id = admission.subject_id
        AND stretch.from_at >= admission.begins_at
        AND stretch.from_at <= admission.dischtime
WHERE $results_by_time AND stretch.until_at IS NOT NULL
GROUP BY
    stretch.subject_id
    , stretch.from_at
    , stretch.until_at
ORDER BY subject_id, from_at
