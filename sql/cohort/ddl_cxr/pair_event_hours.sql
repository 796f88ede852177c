-- Grain: one row per pair further apart than $minimum_gap_hours with a measurement in its window.
-- Window: [previous_at, target_at], its end only if $includes_end. Hours are counted from the first
-- measurement in the window, [k, k + 1); event_hours is how many of them hold a measurement.
SELECT
    pair_id
    , COUNT(DISTINCT DATE_DIFF('microsecond', first_at, event_at) // 3600000000) AS event_hours
FROM (
    SELECT
        pair.pair_id
        , measurement.event_at
        , MIN(measurement.event_at) OVER (PARTITION BY pair.pair_id) AS first_at
    FROM pair_candidate AS pair
    INNER JOIN measurement
        ON
            pair.hadm_id = measurement.hadm_id
            AND (measurement.stay_id IS NULL OR pair.stay_id = measurement.stay_id)
            AND measurement.event_at >= pair.previous_at
            AND CASE
                WHEN $availability = 'known' THEN measurement.known_at
                ELSE measurement.event_at
            END <= pair.target_at
            AND (
                $includes_end
                OR CASE
                    WHEN $availability = 'known' THEN measurement.known_at
                    ELSE measurement.event_at
                END < pair.target_at
            )
    WHERE pair.target_at > pair.previous_at + TO_SECONDS($minimum_gap_hours * 3600)
) AS measured
GROUP BY pair_id
ORDER BY pair_id
