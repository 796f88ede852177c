-- Grain: one row per event that shows when it ends though that is at its window's end or later, or
-- that ends before it begins. An end at infinity shows nothing. Hours are compared as they are kept,
-- as floats.
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
    window_event.end_hours IS NOT NULL
    AND (
        window_event.end_hours >= window_event.hours
        AND (
            ISINF(window_event.end_hours)
            OR window_event.end_hours < CAST(
                DATE_DIFF(
                    'microsecond', sample_window.window_start_at, sample_window.window_end_at
                )
                / 3600000000.0 AS FLOAT
            )
        )
    ) IS NOT TRUE
ORDER BY kind, key, position
