-- Grain: one row per window that holds another number of events than it says.
SELECT
    sample_window.kind
    , sample_window.key
FROM "window" AS sample_window
LEFT JOIN window_event
    ON
        sample_window.kind = window_event.kind
        AND sample_window.key = window_event.key
GROUP BY
    sample_window.kind
    , sample_window.key
    , sample_window.events
HAVING COUNT(window_event.position) <> sample_window.events
ORDER BY kind, key
