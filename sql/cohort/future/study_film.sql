-- Grain: one row per frontal film of an admission, dropped ones with a reason: one film a study
-- stays.
-- Policy: the film with the admission's usual view, which is the view that more of its studies
-- offer, AP if as many offer either, so that films of a pair tend to agree; then the first by a hash
-- of dicom_id, for file order, study_id and dicom_id mean nothing (specs peers 4.2).
SELECT
    ranked.* EXCLUDE (hash, place)
    , CASE
        WHEN
            place > 1 AND view <> usual_view
            THEN '01 another film of its study has the usual view of the admission'
        WHEN place > 1 THEN '02 another film of its study comes first by a hash of dicom_id'
    END AS drop_reason
FROM (
    SELECT
        film.* EXCLUDE (drop_reason)
        , usual.view AS usual_view
        , SHA256(film.dicom_id) AS hash
        , ROW_NUMBER() OVER (
            PARTITION BY film.hadm_id, film.study_id
            ORDER BY film.view = usual.view DESC, SHA256(film.dicom_id), film.dicom_id
        ) AS place
    FROM admission_film AS film
    INNER JOIN (
        SELECT
            hadm_id
            , CASE
                WHEN
                    COUNT(DISTINCT study_id) FILTER (WHERE view = 'PA')
                    > COUNT(DISTINCT study_id) FILTER (WHERE view = 'AP')
                    THEN 'PA'
                ELSE 'AP'
            END AS view
        FROM admission_film
        WHERE drop_reason IS NULL
        GROUP BY hadm_id
    ) AS usual
        ON film.hadm_id = usual.hadm_id
    WHERE film.drop_reason IS NULL
) AS ranked
ORDER BY hadm_id, study_id, dicom_id
