-- Grain: one row per window, as if something had been measured at its start.
-- For a plan before the event tables are read: no window is too empty then.
SELECT
    window_number
    , window_start_at AS event_at
    , window_start_at AS known_at
    , CAST(NULL AS contract_variable) AS variable
    , CAST(NULL AS DOUBLE) AS value
    , CAST(NULL AS VARCHAR) AS charted
    , FALSE AS is_carried
FROM sample_window
ORDER BY window_number
