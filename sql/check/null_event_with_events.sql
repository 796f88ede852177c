-- Grain: one row per sample without events whose window is not of no length, or holds something.
SELECT pair.pair_id
FROM pair
LEFT JOIN "window" AS sample_window
    ON sample_window.kind = 'pair' AND pair.pair_id = sample_window.key
WHERE
    pair.is_null_event
    AND (
        sample_window.window_end_at = sample_window.window_start_at
        AND sample_window.events = 0
        AND sample_window.hours = 0
    ) IS NOT TRUE
ORDER BY pair_id
