-- Grain: one row per event of a pair's window, in the order of the pair's key and of time.
-- dicom_id is what EHRXDiff's code calls the pair: target film, underscore, previous film. TIME: in
-- minutes since the previous film. text_split: a blank on either side of every digit and dot, which
-- is what its tokenizer is given (specs ehrxdiff 3.4, steps 1 and 2).
SELECT
    pair.target_dicom_id || '_' || pair.previous_dicom_id AS dicom_id
    , window_event.position
    , window_event.event_table
    , DATE_DIFF('microsecond', pair.window_start_at, window_event.event_at) / 60000000.0 AS "TIME"
    , text.text
    , REGEXP_REPLACE(text.text, '([0-9.])', ' \1 ', 'g') AS text_split
FROM window_event
INNER JOIN pair
    ON window_event.key = pair.pair_id
INNER JOIN text
    ON window_event.text_id = text.text_id
WHERE NOT pair.is_null_event
ORDER BY dicom_id, position
