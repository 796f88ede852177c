-- Grain: one row per study of the films in use.
-- Raw labels: 1 positive, 0 negative, -1 uncertain, null not mentioned; all null where the label
-- file does not hold the study.
SELECT
    study.study_id
    , CAST(chexpert."Atelectasis" AS TINYINT) AS "Atelectasis"
    , CAST(chexpert."Cardiomegaly" AS TINYINT) AS "Cardiomegaly"
    , CAST(chexpert."Consolidation" AS TINYINT) AS "Consolidation"
    , CAST(chexpert."Edema" AS TINYINT) AS "Edema"
    , CAST(chexpert."Enlarged Cardiomediastinum" AS TINYINT) AS "Enlarged Cardiomediastinum"
    , CAST(chexpert."Fracture" AS TINYINT) AS "Fracture"
    , CAST(chexpert."Lung Lesion" AS TINYINT) AS "Lung Lesion"
    , CAST(chexpert."Lung Opacity" AS TINYINT) AS "Lung Opacity"
    , CAST(chexpert."No Finding" AS TINYINT) AS "No Finding"
    , CAST(chexpert."Pleural Effusion" AS TINYINT) AS "Pleural Effusion"
    , CAST(chexpert."Pleural Other" AS TINYINT) AS "Pleural Other"
    , CAST(chexpert."Pneumonia" AS TINYINT) AS "Pneumonia"
    , CAST(chexpert."Pneumothorax" AS TINYINT) AS "Pneumothorax"
    , CAST(chexpert."Support Devices" AS TINYINT) AS "Support Devices"
FROM (
    SELECT DISTINCT study_id
    FROM film
) AS study
LEFT JOIN cxr_chexpert AS chexpert
    ON study.study_id = chexpert.study_id
ORDER BY study_id
