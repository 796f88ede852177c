-- Grain: one row per stay of the benchmark, dropped ones with a reason.
-- The length of a stay must be strictly above $minimum_stay_hours.
SELECT
    all_stay.* EXCLUDE (drop_reason)
    , CASE
        WHEN
            (all_stay.los * 24 > $minimum_stay_hours) IS NOT TRUE
            THEN '01 not longer than the minimum stay'
    END AS drop_reason
FROM all_stay
WHERE all_stay.drop_reason IS NULL
ORDER BY stay_id
