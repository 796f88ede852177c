-- Grain: one row per labelled study without a film in use.
SELECT study_id
FROM label
WHERE study_id NOT IN (
    SELECT film.study_id
    FROM film
)
ORDER BY study_id
