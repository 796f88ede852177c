-- Grain: one row per patient of a kept sample.
SELECT
    subject_id
    , split
FROM assigned
ORDER BY subject_id
