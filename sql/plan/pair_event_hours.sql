-- Grain: one row per pair further apart than the minimum gap, as if measured in enough hours.
SELECT
    key AS pair_id
    , $minimum_event_hours AS event_hours
FROM sample_window
ORDER BY pair_id
