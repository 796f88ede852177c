-- Grain: one row per stay of the benchmark, dropped ones with a reason.
-- A stay may be exactly $minimum_stay_hours long (specs fusion-baselines 1); as the authors do, a
-- millionth of an hour is allowed for, since los is a fraction of a day. window_end_at: discharge or,
-- of the first $window_hours, the earlier of the two. film_end_at: discharge or, of the first hours,
-- their end whether or not the stay lasted so long, unless $film_before_discharge.
SELECT
    ending.* EXCLUDE (hours_end_at, drop_reason)
    , CASE
        WHEN $window_until = 'hours' THEN LEAST(ending.hours_end_at, ending.outtime)
        ELSE ending.outtime
    END AS window_end_at
    , CASE
        WHEN $window_until = 'discharge' THEN ending.outtime
        WHEN $film_before_discharge THEN LEAST(ending.hours_end_at, ending.outtime)
        ELSE ending.hours_end_at
    END AS film_end_at
    , CASE
        WHEN
            (ending.outtime >= ending.intime AND ending.los IS NOT NULL) IS NOT TRUE
            THEN '01 no discharge from the ICU, or one before admission'
        WHEN
            ending.los * 24 < $minimum_stay_hours - 0.000001
            THEN '02 shorter than the minimum stay'
    END AS drop_reason
FROM (
    SELECT
        *
        , intime + TO_SECONDS($window_hours * 3600) AS hours_end_at
    FROM all_stay
    WHERE drop_reason IS NULL
) AS ending
ORDER BY stay_id
