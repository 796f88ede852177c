-- Grain: one row per window without a sample, or sample without a window, or of other times.
SELECT
    COALESCE(sample.kind, sample_window.kind) AS kind
    , COALESCE(sample.key, sample_window.key) AS key
FROM (
    SELECT
        'pair' AS kind
        , pair_id AS key
        , window_start_at
        , window_end_at
    FROM pair
    UNION ALL
    SELECT
        'stay' AS kind
        , key
        , window_start_at
        , window_end_at
    FROM stay
    UNION ALL
    SELECT
        'generation' AS kind
        , key
        , generation_start_at AS window_start_at
        , window_end_at
    FROM stay
    WHERE generation_start_at IS NOT NULL
) AS sample
FULL JOIN "window" AS sample_window
    ON
        sample.kind = sample_window.kind
        AND sample.key = sample_window.key
WHERE
    sample.window_start_at IS DISTINCT FROM sample_window.window_start_at
    OR sample.window_end_at IS DISTINCT FROM sample_window.window_end_at
ORDER BY kind, key
