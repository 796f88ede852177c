-- Grain: one row per (hadm_id, phenotype) of a stay whose admission has a diagnosis of it, of any
-- seq_num.
-- The benchmark matches its lists by exact text, whatever the version of the code; a code with
-- blanks around it matches nothing. Under $full_ccs every code of HCUP's category counts, by
-- version, with blanks and dots removed.
SELECT DISTINCT
    stay.stay_id
    , stay.hadm_id
    , code.phenotype
FROM kept_stay AS stay
INNER JOIN diagnoses_icd AS diagnosis
    ON stay.hadm_id = diagnosis.hadm_id
INNER JOIN (
    SELECT
        listed.phenotype
        , listed.icd_version
        , listed.icd_code
    FROM benchmark_phenotype AS listed
    WHERE NOT $full_ccs
    UNION ALL
    SELECT
        category.phenotype
        , ccs_code.icd_version
        , ccs_code.icd_code
    FROM ccs_code
    INNER JOIN ccs_phenotype AS category
        ON ccs_code.ccs = category.ccs
    WHERE $full_ccs
) AS code
    ON
        diagnosis.icd_code = code.icd_code
        AND (diagnosis.icd_version = code.icd_version OR NOT $full_ccs)
ORDER BY hadm_id, phenotype
