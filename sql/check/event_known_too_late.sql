-- Grain: one row per event that the chart could not yet show at the end of its window, where only
-- what was known counts; or that was known before it happened.
SELECT
    window_event.kind
    , window_event.key
    , window_event.position
FROM window_event
LEFT JOIN "window" AS sample_window
    ON
        window_event.kind = sample_window.kind
        AND window_event.key = sample_window.key
WHERE
    (window_event.known_at >= window_event.event_at) IS NOT TRUE
    OR (
        $availability = 'known'
        AND (
            window_event.known_at < sample_window.window_end_at
            OR ($includes_end AND window_event.known_at = sample_window.window_end_at)
        ) IS NOT TRUE
    )
ORDER BY kind, key, position
