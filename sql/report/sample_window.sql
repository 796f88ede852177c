-- Grain: one row per window of a sample of the dataset; of kind generation too.
SELECT
    sample.kind
    , sample.key
    , sample.split
    , sample_window.window_end_at
    , sample_window.latest_event_at
    , sample_window.latest_known_at
FROM sample
INNER JOIN "window" AS sample_window
    ON
        sample.kind = sample_window.kind
        AND sample.key = sample_window.key
ORDER BY kind, key
