-- Grain: one row per kind of window. windows: those that are not empty. What is latest in each window, value or event, against its end.
-- Margins are microseconds from the latest to the end, negative if it is later; at is the end itself.
SELECT
    kind
    , COUNT(latest_known_at) AS windows
    , COUNT(*) FILTER (WHERE latest_known_at < window_end_at - INTERVAL 1 HOUR) AS earlier
    , COUNT(*) FILTER (
        WHERE
        latest_known_at >= window_end_at - INTERVAL 1 HOUR
        AND latest_known_at < window_end_at
    ) AS last_hour
    , COUNT(*) FILTER (WHERE latest_known_at = window_end_at) AS at_end
    , COUNT(*) FILTER (WHERE latest_known_at > window_end_at) AS after_end
    , MIN(DATE_DIFF('microsecond', latest_event_at, window_end_at)) AS event_margin
    , MIN(DATE_DIFF('microsecond', latest_known_at, window_end_at)) AS known_margin
FROM sample_window
GROUP BY kind
ORDER BY kind
