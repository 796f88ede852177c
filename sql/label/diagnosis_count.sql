-- Grain: one row per icd_version. Diagnoses of the stays, and those whose code has no CCS category
-- in the map of its version.
SELECT
    diagnosis.icd_version
    , COUNT(*) AS diagnoses
    , COUNT(*) FILTER (WHERE ccs_code.ccs IS NULL) AS without_category
FROM diagnoses_icd AS diagnosis
LEFT JOIN ccs_code
    ON
        diagnosis.icd_version = ccs_code.icd_version
        AND diagnosis.icd_code = ccs_code.icd_code
WHERE diagnosis.hadm_id IN (SELECT stay.hadm_id FROM kept_stay AS stay)
GROUP BY diagnosis.icd_version
ORDER BY icd_version
