-- Grain: one row per window with an event. dropped_events: those that are
-- older than the last a window holds.
SELECT
    window_number
    , COUNT(*) FILTER (WHERE drop_reason IS NULL) AS events
    , COUNT(*) FILTER (WHERE drop_reason IS NOT NULL) AS dropped_events
    , MAX(event_at) FILTER (WHERE drop_reason IS NULL) AS latest_event_at
    , MAX(known_at) FILTER (WHERE drop_reason IS NULL) AS latest_known_at
FROM windowed_event
GROUP BY window_number
ORDER BY window_number
