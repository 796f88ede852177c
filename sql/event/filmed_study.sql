-- Grain: one row per study of an admission with films. taken_at: its last film, of any view, so that
-- no film of the study, whichever a recipe takes, is later.
SELECT
    study.subject_id
    , by_time.hadm_id
    , study.study_id
    , study.taken_at
FROM (
    SELECT
        subject_id
        , study_id
        , MAX(taken_at) AS taken_at
    FROM taken_film
    WHERE drop_reason IS NULL
    GROUP BY subject_id, study_id
) AS study
INNER JOIN admission_time AS by_time
    ON
        study.subject_id = by_time.subject_id
        AND study.taken_at >= by_time.from_at
        AND study.taken_at < by_time.until_at
ORDER BY study_id
