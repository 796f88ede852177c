-- Grain: one row per (icd_version, icd_code as the diagnoses spell it, comorbidity it counts as).
SELECT
    code.icd_version
    , code.icd_code
    , charlson.comorbidity
FROM (
    SELECT DISTINCT
        icd_version
        , icd_code
    FROM diagnoses_icd
) AS code
INNER JOIN charlson_code AS charlson
    ON
        code.icd_version = charlson.icd_version
        AND REGEXP_MATCHES(
            UPPER(REPLACE(TRIM(code.icd_code), '.', '')), '^(' || charlson.pattern || ')'
        )
ORDER BY icd_version, icd_code, comorbidity
