-- Grain: one row per (window_number, hour, variable) with a measurement.
-- Hours are [k, k + 1) after the window's start. A moment stands in the hour in which it was, one of
-- before the start in hour 0. What runs is cut to [window_start_at, window_end_at) and then hour by hour.
-- last: the last moment of the hour, by event_at, then known_at, then value. sum: the moments of the
-- hour, and rate times hours of what runs. mean: rate times hours of what runs, all of it together,
-- over the length of that part of the hour that is in the window. Sums are of decimals: exact, so the
-- order of rows means nothing.
SELECT
    placed.window_number
    , placed.hour
    , placed.variable
    , CASE ANY_VALUE(rule.hourly)
        WHEN 'last'
            THEN MAX_BY(placed.value, (placed.event_at, placed.known_at, placed.value))
        WHEN 'sum' THEN CAST(SUM(placed.part) AS DOUBLE)
        ELSE
            CAST(SUM(placed.part) AS DOUBLE)
            * 3600000000.0
            / LEAST(ANY_VALUE(placed.window_length) - placed.hour * 3600000000, 3600000000)
    END AS value
    , CASE WHEN ANY_VALUE(rule.hourly) = 'last' THEN COUNT(*) - 1 ELSE 0 END AS overtaken
    , MAX(placed.event_at) AS latest_event_at
    , MAX(placed.known_at) AS latest_known_at
FROM (
    SELECT
        window_number
        , variable
        , event_at
        , known_at
        , value
        , window_length
        , CAST(GREATEST(begins, 0) // 3600000000 AS INTEGER) AS hour
        , CAST(value AS DECIMAL(18, 9)) AS part
    FROM windowed_measurement
    WHERE ends_at IS NULL
    UNION ALL
    SELECT
        window_number
        , variable
        , event_at
        , known_at
        , value
        , window_length
        , CAST(hour AS INTEGER) AS hour
        , CAST(
            value
            * (
                LEAST(ends, window_length, (hour + 1) * 3600000000)
                - GREATEST(begins, hour * 3600000000)
            )
            / 3600000000.0 AS DECIMAL(18, 9)
        ) AS part
    FROM (
        SELECT
            *
            , UNNEST(
                RANGE(
                    GREATEST(begins, 0) // 3600000000
                    , (LEAST(ends, window_length) - 1) // 3600000000 + 1
                )
            ) AS hour
        FROM windowed_measurement
        WHERE
            ends_at IS NOT NULL
            AND ends > 0
    ) AS running
) AS placed
INNER JOIN wide_variable AS rule
    ON placed.variable = rule.variable
GROUP BY
    placed.window_number
    , placed.hour
    , placed.variable
ORDER BY window_number, hour, variable
