-- Grain: one row per stay of the benchmark, of any length and with or without films.
SELECT * EXCLUDE (drop_reason)
FROM all_stay
WHERE drop_reason IS NULL
ORDER BY stay_id
