-- Grain: one row per (kind, split, event_table) that any window has an event of.
SELECT
    sample_window.kind
    , sample_window.split
    , found.event_table
    , COUNT(*) AS windows
FROM (
    SELECT DISTINCT
        kind
        , key
        , event_table
    FROM window_event
) AS found
INNER JOIN sample_window
    ON
        found.kind = sample_window.kind
        AND found.key = sample_window.key
GROUP BY
    sample_window.kind
    , sample_window.split
    , found.event_table
ORDER BY kind, split, event_table
