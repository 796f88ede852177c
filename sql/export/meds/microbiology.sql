-- Grain: one row per microbiologyevents row: MICROBIOLOGY//<specimen>//<test>, then the organism
-- that grew and the antibiotic that was tried, where there are. numeric_value: the dilution.
-- text_value: how it was interpreted, else the comment.
-- Known when stored; else at the end of the day of storing, else at discharge from the admission it
-- names, else at the end of the day it was taken. A day ends at the next midnight.
SELECT
    culture.subject_id
    , culture.hadm_id
    , COALESCE(culture.charttime, culture.chartdate) AS event_at
    , GREATEST(
        culture.charttime
        , CASE WHEN culture.charttime IS NULL THEN culture.chartdate + TO_DAYS(1) END
        , COALESCE(
            culture.storetime
            , culture.storedate + TO_DAYS(1)
            , admission.dischtime
            , DATE_TRUNC('day', COALESCE(culture.charttime, culture.chartdate)) + TO_DAYS(1)
        )
    ) AS known_at
    , 'MICROBIOLOGY//' || COALESCE(NULLIF(TRIM(culture.spec_type_desc), ''), 'UNK')
    || '//' || COALESCE(NULLIF(TRIM(culture.test_name), ''), 'UNK')
    || COALESCE('//' || NULLIF(TRIM(culture.org_name), ''), '')
    || COALESCE('//' || NULLIF(TRIM(culture.ab_name), ''), '') AS code
    , TRY_CAST(culture.dilution_value AS FLOAT) AS numeric_value
    , COALESCE(
        NULLIF(TRIM(culture.interpretation), ''), NULLIF(NULLIF(TRIM(culture.comments), ''), '___')
    ) AS text_value
    , culture.source_row
    , CASE
        WHEN COALESCE(culture.charttime, culture.chartdate) IS NULL THEN '01 no time'
    END AS drop_reason
FROM microbiologyevents AS culture
LEFT JOIN admissions AS admission
    ON culture.hadm_id = admission.hadm_id
ORDER BY subject_id, source_row
