-- Grain: one row per two films of a stay, the earlier one first; films at one time in file order.
-- Films of all distances are combined, not only neighbours.
SELECT
    LEFT(
        SHA256(CONCAT_WS(
            '|', 'pair', previous.hadm_id, previous.stay_id, previous.dicom_id, target.dicom_id
        ))
        , 16
    ) AS pair_id
    , previous.subject_id
    , previous.hadm_id
    , previous.stay_id
    , previous.intime
    , previous.outtime
    , previous.study_id AS previous_study_id
    , previous.dicom_id AS previous_dicom_id
    , previous.taken_at AS previous_at
    , previous.view AS previous_view
    , target.study_id AS target_study_id
    , target.dicom_id AS target_dicom_id
    , target.taken_at AS target_at
    , target.view AS target_view
    , previous.age
    , previous.sex
    , previous.died_in_hospital
FROM stay_film AS previous
INNER JOIN stay_film AS target
    ON
        previous.stay_id = target.stay_id
        AND (previous.taken_at, previous.source_row) < (target.taken_at, target.source_row)
WHERE
    previous.drop_reason IS NULL
    AND target.drop_reason IS NULL
ORDER BY pair_id
