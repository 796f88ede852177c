-- Grain: one row per event before its window's start, after its end, or at it unless $includes_end.
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
    (
        window_event.event_at >= sample_window.window_start_at
        AND (
            window_event.event_at < sample_window.window_end_at
            OR ($includes_end AND window_event.event_at = sample_window.window_end_at)
        )
    ) IS NOT TRUE
ORDER BY kind, key, position
