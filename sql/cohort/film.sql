-- Grain: one row per dicom_id that a kept sample names.
SELECT
    film.dicom_id
    , film.subject_id
    , film.study_id
    , film.taken_at
    , film.view
    , film.source_row
    , 'files/p' || LEFT(CAST(film.subject_id AS VARCHAR), 2)
    || '/p' || film.subject_id
    || '/s' || film.study_id
    || '/' || film.dicom_id || '.jpg' AS path
FROM taken_film AS film
WHERE
    film.drop_reason IS NULL
    AND film.dicom_id IN (
        SELECT previous_dicom_id
        FROM pair_sample
        WHERE drop_reason IS NULL
        UNION ALL
        SELECT target_dicom_id
        FROM pair_sample
        WHERE drop_reason IS NULL
        UNION ALL
        SELECT previous_dicom_id
        FROM stay_sample
        WHERE drop_reason IS NULL
        UNION ALL
        SELECT dicom_id
        FROM image_sample
        WHERE drop_reason IS NULL
    )
ORDER BY dicom_id
