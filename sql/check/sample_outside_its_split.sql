-- Grain: one row per sample whose split is not its patient's, or no split at all.
SELECT
    sample.kind
    , sample.key
FROM (
    SELECT
        'pair' AS kind
        , pair_id AS key
        , subject_id
        , split
    FROM pair
    UNION ALL
    SELECT
        'stay' AS kind
        , key
        , subject_id
        , split
    FROM stay
    UNION ALL
    SELECT
        'image' AS kind
        , key
        , subject_id
        , split
    FROM image
) AS sample
LEFT JOIN split
    ON sample.subject_id = split.subject_id
WHERE
    sample.split IS DISTINCT FROM split.split
    OR (sample.split IN ('train', 'valid', 'test')) IS NOT TRUE
ORDER BY kind, key
