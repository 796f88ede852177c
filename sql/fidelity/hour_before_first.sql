-- Grain: one row per (kind, key) whose record begins with hours in which nothing was measured.
-- hours: how many. In them the authors' code says female and 65 years (specs ddl-cxr 3.6).
SELECT
    samples.kind
    , samples.key
    , COALESCE(measured.first_hour, samples.hours) AS hours
FROM "window" AS samples
LEFT JOIN (
    SELECT
        kind
        , key
        , MIN(hour) AS first_hour
    FROM hourly
    GROUP BY
        kind
        , key
) AS measured
    ON
        samples.kind = measured.kind
        AND samples.key = measured.key
WHERE COALESCE(measured.first_hour, samples.hours) > 0
ORDER BY kind, key
