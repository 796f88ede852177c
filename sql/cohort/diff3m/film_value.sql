-- Grain: one row per (frontal film, measurement) with a value of the days around the film.
-- Interval, in whole days: [film - $maximum_days, film + $maximum_days], both ends included; with
-- $no_value_after_film it ends at the film's own day. The nearest day wins, a day before and one
-- after at the same distance both; of what was measured on it the mean.
-- As-of, a value is known at the end of its day, so that of the film's day and later ones do not
-- count.
SELECT
    dicom_id
    , measurement
    -- Added in the order of the file: the last bit of a sum depends on it.
    , LIST_REDUCE(
        LIST(first_number ORDER BY source_row) FILTER (WHERE first_number IS NOT NULL)
        , LAMBDA total, number: total + number
    )
    / COUNT(first_number) AS first_number
    , LIST_REDUCE(
        LIST(last_number ORDER BY source_row) FILTER (WHERE last_number IS NOT NULL)
        , LAMBDA total, number: total + number
    )
    / COUNT(last_number) AS last_number
    , MIN(days) AS days
FROM (
    SELECT
        film.dicom_id
        , value.measurement
        , value.first_number
        , value.last_number
        , value.source_row
        , ABS(film.taken_on - value.chartdate) AS days
    FROM frontal_film AS film
    INNER JOIN static_value AS value
        ON
            film.subject_id = value.subject_id
            AND ABS(film.taken_on - value.chartdate) <= $maximum_days
            AND (NOT $no_value_after_film OR value.chartdate <= film.taken_on)
            AND (
                $availability <> 'known'
                OR CAST(value.chartdate AS TIMESTAMP) + TO_DAYS(1) <= film.taken_at
            )
    WHERE
        film.drop_reason IS NULL
        AND value.drop_reason IS NULL
    QUALIFY days = MIN(days) OVER (PARTITION BY film.dicom_id, value.measurement)
) AS nearest
GROUP BY dicom_id, measurement
ORDER BY dicom_id, measurement
