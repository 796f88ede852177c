-- Grain: one row per procedures_icd row: PROCEDURE//ICD//<version>//<code>. Done on a day, which
-- ends at the next midnight, and coded at discharge: known at the later of the two.
SELECT
    done.subject_id
    , done.hadm_id
    , CAST(done.chartdate AS TIMESTAMP) AS event_at
    , GREATEST(CAST(done.chartdate AS TIMESTAMP) + TO_DAYS(1), admission.dischtime) AS known_at
    , 'PROCEDURE//ICD//' || COALESCE(CAST(done.icd_version AS VARCHAR), 'UNK')
    || '//' || COALESCE(NULLIF(TRIM(done.icd_code), ''), 'UNK') AS code
    , CAST(NULL AS FLOAT) AS numeric_value
    , CAST(NULL AS VARCHAR) AS text_value
    , done.source_row
    , CASE
        WHEN done.chartdate IS NULL THEN '01 no time'
        WHEN admission.dischtime IS NULL THEN '02 no discharge of its admission'
    END AS drop_reason
FROM procedures_icd AS done
LEFT JOIN admissions AS admission
    ON done.hadm_id = admission.hadm_id
ORDER BY subject_id, source_row
