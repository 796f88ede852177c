-- Grain: one row per (pair_id, attribute) that a comparison names, dropped ones with a reason.
-- Pairs are matched by study: a report compares studies, whichever of their films it is filed under.
SELECT
    pair.pair_id
    , said.attribute
    , MIN(said.direction) AS direction
    , CASE
        WHEN COUNT(DISTINCT said.direction) > 1 THEN '01 directions that disagree'
    END AS drop_reason
FROM pair
INNER JOIN comparison AS said
    ON
        pair.previous_study_id = said.previous_study_id
        AND pair.target_study_id = said.target_study_id
WHERE said.drop_reason IS NULL
GROUP BY pair.pair_id, said.attribute
ORDER BY pair_id, attribute
