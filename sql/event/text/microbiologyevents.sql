-- Grain: one row per microbiologyevents row, dropped ones with a reason.
-- Kept: the specimens of specimen.sql, or every row ($selection). A culture with a date alone has
-- no time, but under the rules of `future`, where it counts from the end of its day.
-- Its text holds the result. Without a time of storing that counts as known at the end of the day
-- of storing, else at discharge, if $results_when_stored; else when the culture was taken.
-- Text: the table, then each column that holds something and its value, CHR(31) between the parts;
-- numbers in their shortest form, to 4 decimals.
SELECT
    culture.subject_id
    , COALESCE(culture.hadm_id, by_time.hadm_id) AS hadm_id
    , culture.event_at
    , GREATEST(
        culture.event_at
        , culture.storetime
        , CASE
            WHEN $results_when_stored AND culture.storetime IS NULL
                THEN COALESCE(culture.storedate + TO_DAYS(1), admission.dischtime)
        END
    ) AS known_at
    , CAST(5 AS UTINYINT) AS event_table
    , culture.source_row
    , CONCAT_WS(
        CHR(31)
        , 'microbiologyevents'
        , 'spec_type_desc' || CHR(31) || NULLIF(TRIM(culture.spec_type_desc), '')
        , 'test_name' || CHR(31) || NULLIF(TRIM(culture.test_name), '')
        , 'org_name' || CHR(31) || NULLIF(TRIM(culture.org_name), '')
        , 'isolate_num' || CHR(31) || culture.isolate_num
        , 'quantity' || CHR(31) || NULLIF(TRIM(culture.quantity), '')
        , 'ab_name' || CHR(31) || NULLIF(TRIM(culture.ab_name), '')
        , 'dilution_text' || CHR(31) || NULLIF(TRIM(culture.dilution_text), '')
        , 'dilution_comparison' || CHR(31) || NULLIF(TRIM(culture.dilution_comparison), '')
        , 'dilution_value' || CHR(31) || PRINTF('%.15g', ROUND(culture.dilution_value, 4))
        , 'interpretation' || CHR(31) || NULLIF(TRIM(culture.interpretation), '')
        , 'comments' || CHR(31) || NULLIF(NULLIF(TRIM(culture.comments), ''), '___')
    ) AS text
    , CASE
        WHEN $selection = 'listed' AND listed.spec_type_desc IS NULL THEN '01 specimen not used'
        WHEN
            COALESCE(culture.hadm_id, by_time.hadm_id) IS NULL
            THEN '02 no admission named, and taken in none that has films'
        WHEN admission.hadm_id IS NULL THEN '03 admission without the films a sample needs'
        WHEN culture.event_at IS NULL THEN '04 no time'
    END AS drop_reason
FROM (
    SELECT
        *
        , COALESCE(
            charttime
            , CASE WHEN $rules = 'future' THEN DATE_TRUNC('day', chartdate) + TO_DAYS(1) END
        ) AS event_at
    FROM microbiologyevents
) AS culture
LEFT JOIN specimen AS listed
    ON culture.spec_type_desc = listed.spec_type_desc
LEFT JOIN admission_time AS by_time
    ON
        CASE WHEN culture.hadm_id IS NULL THEN culture.subject_id END = by_time.subject_id
        AND culture.event_at >= by_time.from_at
        AND culture.event_at < by_time.until_at
LEFT JOIN filmed_admission AS admission
    ON COALESCE(culture.hadm_id, by_time.hadm_id) = admission.hadm_id
ORDER BY subject_id, event_at, event_table, source_row
