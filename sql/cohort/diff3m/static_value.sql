-- Grain: one row per row of omr that is one of the four measurements, of a patient with a frontal
-- film; dropped ones with a reason.
-- A pressure is the text before its first '/' and the text after its last: systolic and diastolic.
-- Every other value is its own first and last number. Text is no number, that is null.
-- The published code stops reading at the first row of another patient after a row that it took, so
-- of a patient whose rows lie apart it takes those of one block (a run of rows in the file).
SELECT
    value.subject_id
    , value.chartdate
    , value.source_row
    , value.measurement
    , value.first_number
    , value.last_number
    , CASE
        WHEN
            NOT $rows_anywhere
            AND value.block > MIN(value.block)
                OVER (PARTITION BY value.subject_id, value.measurement)
            THEN '01 after rows of another patient'
        WHEN
            $numbers_only
            AND (ISFINITE(value.first_number) AND ISFINITE(value.last_number)) IS NOT TRUE
            THEN '02 not a number'
        WHEN
            $two_pressures
            AND value.measurement = 'pressure'
            AND value.parts <> 2
            THEN '03 a pressure that is not two numbers'
        WHEN
            $plausible_range
            AND (
                value.first_number BETWEEN possible.low AND possible.high
                AND value.last_number BETWEEN possible.low_of_last AND possible.high
                AND (value.measurement <> 'pressure' OR value.last_number < value.first_number)
            ) IS NOT TRUE
            THEN '04 not plausible'
    END AS drop_reason
FROM (
    SELECT
        found.subject_id
        , found.chartdate
        , found.source_row
        , found.block
        , name.measurement
        , LEN(STR_SPLIT(found.result_value, '/')) AS parts
        , TRY_CAST(
            CASE
                WHEN name.measurement = 'pressure' THEN SPLIT_PART(found.result_value, '/', 1)
                ELSE found.result_value
            END AS DOUBLE
        ) AS first_number
        , TRY_CAST(
            CASE
                WHEN name.measurement = 'pressure' THEN SPLIT_PART(found.result_value, '/', -1)
                ELSE found.result_value
            END AS DOUBLE
        ) AS last_number
    FROM (
        SELECT
            subject_id
            , chartdate
            , source_row
            , result_name
            , result_value
            , source_row - ROW_NUMBER() OVER (PARTITION BY subject_id ORDER BY source_row) AS block
        FROM omr
        WHERE
            subject_id IN (
                SELECT film.subject_id
                FROM frontal_film AS film
                WHERE film.drop_reason IS NULL
            )
    ) AS found
    INNER JOIN static_name AS name
        ON found.result_name = name.result_name
) AS value
INNER JOIN static_range AS possible
    ON value.measurement = possible.measurement
ORDER BY source_row
