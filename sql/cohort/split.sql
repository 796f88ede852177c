-- Grain: one row per patient of a kept sample; position is the order in which they were dealt.
SELECT
    subject_id
    , split
    , position
FROM assigned
ORDER BY subject_id
