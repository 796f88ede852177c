-- Grain: one row per event of the other files of this folder that they keep, for patients of the
-- split $split, as MEDS has events: static ones first, then by time, those of one time in the order
-- of the files. time: when it was known under availability `known`, else when it happened.
SELECT
    recorded.subject_id
    , CASE
        WHEN $availability = 'known' THEN recorded.known_at
        ELSE recorded.event_at
    END AS time
    , recorded.code
    , recorded.numeric_value
    , recorded.text_value
    , recorded.hadm_id
    , recorded.event_at
FROM recorded
INNER JOIN split
    ON recorded.subject_id = split.subject_id
WHERE
    recorded.drop_reason IS NULL
    AND split.split = $split
ORDER BY subject_id, time NULLS FIRST, place, source_row, code
