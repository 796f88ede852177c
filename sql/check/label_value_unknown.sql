-- Grain: one row per study with a label other than 1, 0, -1 or null.
SELECT study_id
FROM label
WHERE
    LEAST(*COLUMNS(* EXCLUDE (study_id))) < -1
    OR GREATEST(*COLUMNS(* EXCLUDE (study_id))) > 1
ORDER BY study_id
