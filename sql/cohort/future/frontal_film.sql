-- Grain: one row per film with a time, dropped ones with a reason.
-- A film without a ViewPosition has the view that its ViewCodeSequence means, else that of its
-- procedure, which says AP of a portable film (specs peers 2.2).
SELECT
    dicom_id
    , subject_id
    , study_id
    , view
    , taken_at
    , source_row
    , CASE WHEN (view IN ('AP', 'PA')) IS NOT TRUE THEN '01 not a frontal film' END AS drop_reason
FROM (
    SELECT
        film.dicom_id
        , film.subject_id
        , film.study_id
        , COALESCE(
            film.view
            , CASE LOWER(listed.viewcodesequence_codemeaning)
                WHEN 'antero-posterior' THEN 'AP'
                WHEN 'postero-anterior' THEN 'PA'
                WHEN 'lateral' THEN 'LATERAL'
                WHEN 'left lateral' THEN 'LL'
            END
            , CASE
                WHEN listed.performedprocedurestepdescription ILIKE '%PORTABLE AP%' THEN 'AP'
            END
        ) AS view
        , film.taken_at
        , film.source_row
    FROM taken_film AS film
    INNER JOIN cxr_metadata AS listed
        ON film.source_row = listed.source_row
    WHERE film.drop_reason IS NULL
) AS viewed
ORDER BY dicom_id
