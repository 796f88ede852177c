-- Grain: one row per row of the film list, dropped ones with a reason.
-- studytime is HHMMSS.fff as a number that lost its leading zeros: 12 is 00:00:12 and 80556.875 is
-- 08:05:56.875; the fraction is cut unless $film_time_with_fraction. Of rows with one dicom_id the
-- first in file order stays.
SELECT
    dicom_id
    , subject_id
    , study_id
    , viewposition AS view
    , CAST(day_taken AS TIMESTAMP)
    + TO_HOURS(clock // 10000000000)
    + TO_MINUTES(clock // 100000000 % 100)
    + TO_MICROSECONDS(
        CASE
            WHEN $film_time_with_fraction THEN clock % 100000000
            ELSE clock % 100000000 // 1000000 * 1000000
        END
    ) AS taken_at
    , source_row
    , CASE
        WHEN
            ROW_NUMBER() OVER (PARTITION BY dicom_id ORDER BY source_row) > 1
            THEN '01 repeats a dicom_id'
        WHEN
            (
                day_taken IS NOT NULL
                AND clock BETWEEN 0 AND 239999999999
                AND clock // 100000000 % 100 < 60
                AND clock % 100000000 < 60000000
            ) IS NOT TRUE
            THEN '02 no such date or time'
    END AS drop_reason
FROM (
    SELECT
        dicom_id
        , subject_id
        , study_id
        , viewposition
        , source_row
        , CAST(TRY_STRPTIME(CAST(studydate AS VARCHAR), '%Y%m%d') AS DATE) AS day_taken
        , CASE
            WHEN $film_time_with_fraction THEN TRY_CAST(ROUND(studytime * 1000000) AS BIGINT)
            ELSE TRY_CAST(TRUNC(studytime) AS BIGINT) * 1000000
        END AS clock
    FROM cxr_metadata
) AS film
ORDER BY subject_id, taken_at, source_row
