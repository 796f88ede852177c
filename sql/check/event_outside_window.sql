-- Grain: one row per event after its window's end, at it unless $includes_end, or before its start.
-- Under the rules of `future` an event may have happened before the start if it became known within
-- the window ($availability 'known'), or ran into it.
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
        (
            window_event.event_at >= sample_window.window_start_at
            OR (
                $rules = 'future'
                AND (
                    (
                        $availability = 'known'
                        AND window_event.known_at >= sample_window.window_start_at
                    )
                    OR COALESCE(window_event.end_hours > 0, FALSE)
                )
            )
        )
        AND (
            window_event.event_at < sample_window.window_end_at
            OR ($includes_end AND window_event.event_at = sample_window.window_end_at)
        )
    ) IS NOT TRUE
ORDER BY kind, key, position
