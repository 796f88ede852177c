-- Grain: one row per study in use that has no label row, or several.
SELECT study.study_id
FROM (
    SELECT DISTINCT film.study_id
    FROM film
) AS study
LEFT JOIN label
    ON study.study_id = label.study_id
GROUP BY study.study_id
HAVING COUNT(label.study_id) <> 1
ORDER BY study_id
