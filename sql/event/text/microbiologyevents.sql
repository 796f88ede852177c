-- Grain: one row per microbiologyevents row, dropped ones with a reason.
-- Kept: the specimens of specimen.sql. A culture with a date alone has no time.
-- Text: the table, then each column that holds something and its value, blank-separated; numbers
-- in their shortest form, to 4 decimals.
SELECT
    culture.subject_id
    , culture.hadm_id
    , culture.charttime AS event_at
    , GREATEST(culture.charttime, culture.storetime) AS known_at
    , CAST(5 AS UTINYINT) AS event_table
    , culture.source_row
    , CONCAT_WS(
        ' '
        , 'microbiologyevents'
        , 'spec_type_desc ' || NULLIF(TRIM(culture.spec_type_desc), '')
        , 'test_seq ' || culture.test_seq
        , 'test_name ' || NULLIF(TRIM(culture.test_name), '')
        , 'org_name ' || NULLIF(TRIM(culture.org_name), '')
        , 'isolate_num ' || culture.isolate_num
        , 'quantity ' || NULLIF(TRIM(culture.quantity), '')
        , 'ab_name ' || NULLIF(TRIM(culture.ab_name), '')
        , 'dilution_text ' || NULLIF(TRIM(culture.dilution_text), '')
        , 'dilution_comparison ' || NULLIF(TRIM(culture.dilution_comparison), '')
        , 'dilution_value ' || PRINTF('%.15g', ROUND(culture.dilution_value, 4))
        , 'interpretation ' || NULLIF(TRIM(culture.interpretation), '')
        , 'comments ' || NULLIF(TRIM(culture.comments), '')
    ) AS text
    , CASE
        WHEN listed.spec_type_desc IS NULL THEN '01 specimen not used'
        WHEN culture.hadm_id IS NULL THEN '02 no admission named'
        WHEN admission.hadm_id IS NULL THEN '03 admission without the films a sample needs'
        WHEN culture.charttime IS NULL THEN '04 no time'
    END AS drop_reason
FROM microbiologyevents AS culture
LEFT JOIN specimen AS listed
    ON culture.spec_type_desc = listed.spec_type_desc
LEFT JOIN filmed_admission AS admission
    ON culture.hadm_id = admission.hadm_id
ORDER BY subject_id, event_at, event_table, source_row
