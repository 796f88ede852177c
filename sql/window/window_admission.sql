-- Grain: one row per (window_number, admission whose events belong to the window).
SELECT
    sample_window.window_number
    , pair_admission.hadm_id
FROM sample_window
INNER JOIN pair_admission
    ON sample_window.kind = 'pair' AND sample_window.key = pair_admission.pair_id
UNION ALL
SELECT
    window_number
    , hadm_id
FROM sample_window
WHERE kind = 'stay'
ORDER BY window_number, hadm_id
