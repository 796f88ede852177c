-- Grain: one row per window with a kept event.
SELECT
    window_number
    , COUNT(*) AS events
    , MAX(event_at) AS latest_event_at
    , MAX(known_at) AS latest_known_at
FROM windowed_event
WHERE drop_reason IS NULL
GROUP BY window_number
ORDER BY window_number
