-- Grain: one row per pair further apart than $minimum_gap_hours: its window, from film to film.
-- Times of measurements are compared with the films' as the authors' code does, in hours since ICU
-- admission that it wrote to a csv file and read again (etl/published_hours.py): one that was
-- charted in the very second of a film may fall out by the last bit of a float.
SELECT
    CAST(ROW_NUMBER() OVER (ORDER BY pair.pair_id) AS INTEGER) AS window_number
    , 'pair' AS kind
    , pair.pair_id AS key
    , pair.subject_id
    , pair.hadm_id
    , pair.stay_id
    , pair.intime
    , pair.outtime
    , pair.previous_at AS window_start_at
    , pair.target_at AS window_end_at
    , COALESCE(first_edge.in_length_at_start, TRUE) AS includes_start
    , $includes_end AND COALESCE(last_edge.in_length_at_end, TRUE) AS includes_end
FROM pair_candidate AS pair
LEFT JOIN published_edge AS first_edge
    ON DATE_DIFF('second', pair.intime, pair.previous_at) = first_edge.seconds
LEFT JOIN published_edge AS last_edge
    ON DATE_DIFF('second', pair.intime, pair.target_at) = last_edge.seconds
WHERE pair.target_at > pair.previous_at + TO_SECONDS($minimum_gap_hours * 3600)
ORDER BY window_number
