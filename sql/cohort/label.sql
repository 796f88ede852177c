-- Grain: one row per study of the films in use.
-- Raw labels of the recipe's labeler: 1 positive, 0 negative, -1 uncertain, null not mentioned; all null where the label
-- file does not hold the study.
SELECT
    study.study_id
    , CAST(finding."Atelectasis" AS TINYINT) AS "Atelectasis"
    , CAST(finding."Cardiomegaly" AS TINYINT) AS "Cardiomegaly"
    , CAST(finding."Consolidation" AS TINYINT) AS "Consolidation"
    , CAST(finding."Edema" AS TINYINT) AS "Edema"
    , CAST(finding."Enlarged Cardiomediastinum" AS TINYINT) AS "Enlarged Cardiomediastinum"
    , CAST(finding."Fracture" AS TINYINT) AS "Fracture"
    , CAST(finding."Lung Lesion" AS TINYINT) AS "Lung Lesion"
    , CAST(finding."Lung Opacity" AS TINYINT) AS "Lung Opacity"
    , CAST(finding."No Finding" AS TINYINT) AS "No Finding"
    , CAST(finding."Pleural Effusion" AS TINYINT) AS "Pleural Effusion"
    , CAST(finding."Pleural Other" AS TINYINT) AS "Pleural Other"
    , CAST(finding."Pneumonia" AS TINYINT) AS "Pneumonia"
    , CAST(finding."Pneumothorax" AS TINYINT) AS "Pneumothorax"
    , CAST(finding."Support Devices" AS TINYINT) AS "Support Devices"
FROM (
    SELECT DISTINCT study_id
    FROM film
) AS study
LEFT JOIN cxr_finding AS finding
    ON study.study_id = finding.study_id
ORDER BY study_id
