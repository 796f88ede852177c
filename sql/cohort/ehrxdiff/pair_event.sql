-- Grain: one row per pair closer than $maximum_gap_hours with an event in its window.
-- Window: [previous_at, target_at], its end only if $includes_end.
SELECT
    pair.pair_id
    , COUNT(*) AS events
FROM pair_candidate AS pair
INNER JOIN event
    ON
        pair.hadm_id = event.hadm_id
        AND event.event_at >= pair.previous_at
        AND CASE
            WHEN $availability = 'known' THEN event.known_at
            ELSE event.event_at
        END <= pair.target_at
        AND (
            $includes_end
            OR CASE
                WHEN $availability = 'known' THEN event.known_at
                ELSE event.event_at
            END < pair.target_at
        )
WHERE pair.target_at < pair.previous_at + TO_SECONDS($maximum_gap_hours * 3600)
GROUP BY pair.pair_id
ORDER BY pair_id
