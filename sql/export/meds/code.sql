-- Grain: one row per code of the export. description: the text of the dictionary its id stands in;
-- null where the code says all there is. parent_codes: none.
SELECT
    used.code
    , COALESCE(
        CASE WHEN used.family = 'LAB' THEN CONCAT_WS(', ', lab.label, lab.fluid, lab.category) END
        , CASE WHEN used.family IN ('CHART', 'OUTPUT') THEN charted.label END
        , CASE WHEN used.family IN ('INFUSION', 'PROCEDURE') THEN run.label END
        , CASE WHEN used.family = 'DIAGNOSIS' THEN diagnosis.long_title END
        , CASE WHEN used.family = 'PROCEDURE' THEN done.long_title END
    ) AS description
    , CAST(NULL AS VARCHAR[]) AS parent_codes
FROM (
    SELECT
        code
        , SPLIT_PART(code, '//', 1) AS family
        , SPLIT_PART(code, '//', 2) AS second
        , SPLIT_PART(code, '//', 3) AS third
        , SPLIT_PART(code, '//', 4) AS fourth
    FROM used_code
) AS used
LEFT JOIN d_labitems AS lab
    ON used.third = CAST(lab.itemid AS VARCHAR)
LEFT JOIN d_items AS charted
    ON used.second = CAST(charted.itemid AS VARCHAR)
LEFT JOIN d_items AS run
    ON used.third = CAST(run.itemid AS VARCHAR)
LEFT JOIN (
    SELECT
        CAST(icd_version AS VARCHAR) AS icd_version
        , TRIM(icd_code) AS icd_code
        , MIN(long_title) AS long_title
    FROM d_icd_diagnoses
    GROUP BY ALL
) AS diagnosis
    ON
        used.second = 'ICD'
        AND used.third = diagnosis.icd_version
        AND used.fourth = diagnosis.icd_code
LEFT JOIN (
    SELECT
        CAST(icd_version AS VARCHAR) AS icd_version
        , TRIM(icd_code) AS icd_code
        , MIN(long_title) AS long_title
    FROM d_icd_procedures
    GROUP BY ALL
) AS done
    ON
        used.second = 'ICD'
        AND used.third = done.icd_version
        AND used.fourth = done.icd_code
ORDER BY code
