-- Grain: one row per microbiologyevents row, dropped ones with a reason.
-- Kept: the specimens of specimen.sql. A culture with a date alone has no time.
-- Its text holds the result. Without a time of storing that counts as known at the end of the day
-- of storing, else at discharge, if $results_when_stored; else when the culture was taken.
-- Text: the table, then each column that holds something and its value, CHR(31) between the parts;
-- numbers in their shortest form, to 4 decimals.
SELECT
    culture.subject_id
    , COALESCE(culture.hadm_id, by_time.hadm_id) AS hadm_id
    , culture.charttime AS event_at
    , GREATEST(
        culture.charttime
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
        WHEN listed.spec_type_desc IS NULL THEN '01 specimen not used'
        WHEN
            COALESCE(culture.hadm_id, by_time.hadm_id) IS NULL
            THEN '02 no admission named, and taken in none that has films'
        WHEN admission.hadm_id IS NULL THEN '03 admission without the films a sample needs'
        WHEN culture.charttime IS NULL THEN '04 no time'
    END AS drop_reason
FROM microbiologyevents AS culture
LEFT JOIN specimen AS listed
    ON culture.spec_type_desc = listed.spec_type_desc
LEFT JOIN result_admission AS by_time
    ON culture.source_row = by_time.source_row AND by_time.event_table = 5
LEFT JOIN filmed_admission AS admission
    ON COALESCE(culture.hadm_id, by_time.hadm_id) = admission.hadm_id
ORDER BY subject_id, event_at, event_table, source_row
