-- Grain: one row per two studies of an admission, the earlier one first; dropped ones with a reason.
-- $pairs = 'consecutive': neighbours in the order of time; 'all': any two. Gaps have both ends
-- included. stay_id: the ICU stay that the target was taken in, if any; the later begun of two.
SELECT
    LEFT(
        SHA256(CONCAT_WS('|', 'pair', previous.hadm_id, previous.dicom_id, target.dicom_id)), 16
    ) AS pair_id
    , previous.subject_id
    , previous.hadm_id
    , target.stay_id
    , previous.study_id AS previous_study_id
    , previous.dicom_id AS previous_dicom_id
    , previous.taken_at AS previous_at
    , previous.view AS previous_view
    , target.study_id AS target_study_id
    , target.dicom_id AS target_dicom_id
    , target.taken_at AS target_at
    , target.view AS target_view
    , stay.age
    , stay.sex
    , stay.died_in_hospital
    , CAST(NULL AS INTEGER) AS event_hours
    , FALSE AS is_null_event
    , CASE
        WHEN target.taken_at = previous.taken_at THEN '01 films of one time'
        WHEN
            target.taken_at < previous.taken_at + TO_SECONDS($minimum_gap_hours * 3600)
            THEN '02 closer than minimum_gap_hours'
        WHEN
            target.taken_at > previous.taken_at + TO_SECONDS($maximum_gap_hours * 3600)
            THEN '03 further apart than maximum_gap_hours'
    END AS drop_reason
FROM ordered_film AS previous
INNER JOIN ordered_film AS target
    ON
        previous.hadm_id = target.hadm_id
        AND CASE
            WHEN $pairs = 'consecutive' THEN previous.place + 1 = target.place
            ELSE previous.place < target.place
        END
INNER JOIN hospital_stay AS stay
    ON previous.hadm_id = stay.hadm_id
ORDER BY pair_id
