-- Grain: one row per (AP film, stay of its patient), or one per film whose patient has no stay in the
-- cohort; dropped ones with a reason.
-- Interval: [intime, film_end_at], both ends included. A film may belong to two stays. The last film
-- of a stay stays, of whatever study; of films at one time the last in file order, which is what the
-- authors' sort leaves last for up to 16 films, and is not defined beyond (specs fusion-baselines 1).
SELECT
    film.dicom_id
    , film.study_id
    , film.view
    , film.taken_at
    , stay.stay_id
    , CASE
        WHEN stay.stay_id IS NULL THEN '01 patient without a stay in the cohort'
        WHEN film.taken_at < stay.intime THEN '02 taken before the ICU admission'
        WHEN film.taken_at > stay.film_end_at THEN '03 taken after the prediction time'
        WHEN
            ROW_NUMBER() OVER (
                PARTITION BY stay.stay_id, film.taken_at BETWEEN stay.intime AND stay.film_end_at
                ORDER BY film.taken_at DESC, film.source_row DESC
            )
            > 1
            THEN '04 a later film of the same stay'
    END AS drop_reason
FROM ap_film AS film
LEFT JOIN (
    SELECT *
    FROM stay
    WHERE drop_reason IS NULL
) AS stay
    ON film.subject_id = stay.subject_id
WHERE film.drop_reason IS NULL
ORDER BY dicom_id, stay_id
