-- Grain: one row per two films of a stay, dropped ones with a reason.
-- The gap must be strictly above $minimum_gap_hours.
SELECT
    pair.* EXCLUDE (intime, outtime)
    , COALESCE(measured.event_hours, 0) AS event_hours
    , FALSE AS is_null_event
    , CASE
        WHEN
            pair.target_at <= pair.previous_at + TO_SECONDS($minimum_gap_hours * 3600)
            THEN '01 not further apart than the minimum gap'
        WHEN
            COALESCE(measured.event_hours, 0) < $minimum_event_hours
            THEN '02 too few hours with a measurement'
        WHEN
            pair.previous_study_id NOT IN (SELECT finding.study_id FROM cxr_finding AS finding)
            OR pair.target_study_id NOT IN (SELECT finding.study_id FROM cxr_finding AS finding)
            THEN '03 a study without labels'
    END AS drop_reason
FROM pair_candidate AS pair
LEFT JOIN pair_event_hours AS measured
    ON pair.pair_id = measured.pair_id
ORDER BY pair_id
