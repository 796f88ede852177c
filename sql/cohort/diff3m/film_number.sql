-- Grain: one row per (frontal film, static value) with a value of the days around the film.
-- The published tables are csv files that pandas reads: it adds up the digits of a number one by
-- one, in doubles, and divides by a power of ten. Of a mean of 17 digits the last bit may change.
SELECT
    dicom_id
    , name
    , CASE
        WHEN $exact_means OR NOT REGEXP_FULL_MATCH(text, '\d+\.\d+') THEN number
        ELSE LIST_REDUCE(
            LIST_TRANSFORM(
                STR_SPLIT(REPLACE(text, '.', ''), ''), LAMBDA digit: CAST(digit AS DOUBLE)
            )
            , LAMBDA whole, digit: whole * 10 + digit
        )
        / POW(10, LEN(SPLIT_PART(text, '.', 2)))
    END AS number
FROM (
    SELECT
        dicom_id
        , CASE WHEN measurement = 'pressure' THEN 'systolic' ELSE measurement END AS name
        , first_number AS number
        , CAST(first_number AS VARCHAR) AS text
    FROM film_value
    UNION ALL
    SELECT
        dicom_id
        , 'diastolic' AS name
        , last_number AS number
        , CAST(last_number AS VARCHAR) AS text
    FROM film_value
    WHERE measurement = 'pressure'
) AS mean
ORDER BY dicom_id, name
