-- Grain: one row per AP film, dropped ones with a reason.
-- Of a study the latest film stays; of films at one time the last in file order.
SELECT
    dicom_id
    , subject_id
    , study_id
    , view
    , taken_at
    , source_row
    , CASE
        WHEN
            ROW_NUMBER() OVER (
                PARTITION BY subject_id, study_id
                ORDER BY taken_at DESC, source_row DESC
            )
            > 1
            THEN '01 a later film of the same study'
    END AS drop_reason
FROM ap_film
WHERE drop_reason IS NULL
ORDER BY dicom_id
