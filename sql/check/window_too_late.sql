-- Grain: one row per window whose latest measurement or event is later than its end, at the end
-- unless $includes_end, or was known too late where only what was known counts.
SELECT
    kind
    , key
FROM "window" AS sample_window
WHERE
    latest_event_at > window_end_at
    OR (NOT $includes_end AND latest_event_at = window_end_at)
    OR ($availability = 'known' AND latest_known_at > window_end_at)
    OR ($availability = 'known' AND NOT $includes_end AND latest_known_at = window_end_at)
    OR latest_known_at < latest_event_at
ORDER BY kind, key
