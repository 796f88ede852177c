-- Grain: one row per hour that is repeated or not within the hours of its window.
SELECT
    hourly.kind
    , hourly.key
    , hourly.hour
FROM hourly
LEFT JOIN "window" AS sample_window
    ON
        hourly.kind = sample_window.kind
        AND hourly.key = sample_window.key
QUALIFY
    (hourly.hour BETWEEN 0 AND sample_window.hours - 1) IS NOT TRUE
    OR COUNT(*) OVER (PARTITION BY hourly.kind, hourly.key, hourly.hour) > 1
ORDER BY kind, key, hour
