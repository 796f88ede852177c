-- Grain: one row per stay in the cohort, dropped ones with a reason.
-- previous_* are null where the stay has no film ($pairing = 'partial'). A height from before the
-- window is no measurement of it. prediction_at: the end of the interval of films, which is that of
-- the window too, but for short stays without $film_before_discharge.
SELECT
    sample_window.key
    , stay.subject_id
    , stay.hadm_id
    , stay.stay_id
    , film.study_id AS previous_study_id
    , film.dicom_id AS previous_dicom_id
    , film.taken_at AS previous_at
    , film.view AS previous_view
    , stay.intime AS admitted_to_icu_at
    , stay.intime AS window_start_at
    , stay.film_end_at AS prediction_at
    , CAST(NULL AS TIMESTAMP) AS generation_start_at
    , stay.window_end_at
    , stay.age
    , stay.sex
    , stay.died_in_hospital
    , TRUE AS has_phenotypes
    , CAST(NULL AS DOUBLE) AS remaining_hours
    , CAST(NULL AS BOOLEAN) AS icu_transfer
    , CAST(NULL AS BOOLEAN) AS readmitted
    , CAST(NULL AS DOUBLE) AS label
    , CASE
        WHEN
            sample_window.window_number NOT IN (
                SELECT measurement.window_number
                FROM windowed_measurement AS measurement
                WHERE NOT measurement.is_carried
            )
            THEN '01 nothing measured in the window'
        WHEN
            $pairing = 'paired' AND film.dicom_id IS NULL
            THEN '02 no film in its interval'
    END AS drop_reason
FROM stay
INNER JOIN sample_window
    ON stay.stay_id = sample_window.stay_id
LEFT JOIN (
    SELECT *
    FROM stay_film
    WHERE drop_reason IS NULL
) AS film
    ON stay.stay_id = film.stay_id
ORDER BY key
