-- Grain: one row per stay in the cohort, dropped ones with a reason.
-- generation_start_at: a film at the prediction time is generated from the record between the stay's
-- film and that time, $generation_hours at least (specs ddl-cxr 3.7).
-- Its film is the latest one up to the prediction time; of films at one time that of the
-- higher study_id.
SELECT
    LEFT(SHA256(CONCAT_WS('|', 'stay', stay.stay_id)), 16) AS key
    , stay.subject_id
    , stay.hadm_id
    , stay.stay_id
    , film.study_id AS previous_study_id
    , film.dicom_id AS previous_dicom_id
    , film.taken_at AS previous_at
    , film.view AS previous_view
    , stay.intime AS admitted_to_icu_at
    , stay.intime AS window_start_at
    , stay.intime + TO_SECONDS($film_to_hours * 3600) AS prediction_at
    , stay.intime + TO_SECONDS($film_to_hours * 3600) AS window_end_at
    , LEAST(
        film.taken_at
        , stay.intime + TO_SECONDS(($film_to_hours - $generation_hours) * 3600)
    ) AS generation_start_at
    , stay.age
    , stay.sex
    , stay.died_in_hospital
    , TRUE AS has_phenotypes
    , CAST(NULL AS DOUBLE) AS remaining_hours
    , CAST(NULL AS BOOLEAN) AS icu_transfer
    , CAST(NULL AS BOOLEAN) AS readmitted
    , CAST(NULL AS DOUBLE) AS label
    , CASE WHEN film.dicom_id IS NULL THEN '01 no film up to the prediction time' END
        AS drop_reason
FROM stay
LEFT JOIN (
    SELECT
        stay_id
        , study_id
        , dicom_id
        , taken_at
        , view
    FROM stay_film
    WHERE drop_reason IS NULL
    QUALIFY
        ROW_NUMBER() OVER (
            PARTITION BY stay_id
            ORDER BY taken_at DESC, study_id DESC, source_row DESC
        )
        = 1
) AS film
    ON stay.stay_id = film.stay_id
WHERE stay.drop_reason IS NULL
ORDER BY key
