-- Grain: one row per stay sample: everything of its episode, before and after the window too.
SELECT
    CAST(ROW_NUMBER() OVER (ORDER BY sample.key) AS INTEGER) AS window_number
    , 'stay' AS kind
    , sample.key
    , sample.subject_id
    , sample.hadm_id
    , sample.stay_id
    , stay.intime
    , stay.outtime
    , stay.intime - TO_YEARS(100) AS window_start_at
    , stay.outtime + TO_YEARS(100) AS window_end_at
    , TRUE AS includes_start
    , TRUE AS includes_end
FROM stay AS sample
INNER JOIN all_stay AS stay
    ON sample.stay_id = stay.stay_id
ORDER BY window_number
