-- Grain: one row per two films with an event in their window, the films closer than
-- $maximum_gap_hours; per admission of theirs if $one_sample_per_admission, else of any.
-- Window: [previous_at, target_at], its end only if $includes_end.
SELECT DISTINCT
    pair.previous_dicom_id
    , pair.target_dicom_id
    , CASE WHEN $one_sample_per_admission THEN pair.hadm_id END AS hadm_id
FROM pair_candidate AS pair
INNER JOIN event
    ON
        pair.hadm_id = event.hadm_id
        AND event.event_at >= pair.previous_at
        AND CASE
            WHEN $availability = 'known' THEN event.known_at
            ELSE event.event_at
        END <= pair.target_at
        AND (
            $includes_end
            OR CASE
                WHEN $availability = 'known' THEN event.known_at
                ELSE event.event_at
            END < pair.target_at
        )
WHERE pair.target_at < pair.previous_at + TO_SECONDS($maximum_gap_hours * 3600)
ORDER BY previous_dicom_id, target_dicom_id, hadm_id
