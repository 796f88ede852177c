-- Grain: one row per study of the release's test set that one radiologist labelled (687).
-- Raw labels as in cohort/label.sql. The file says Airspace Opacity for Lung Opacity.
SELECT
    radiologist.study_id
    , CAST(radiologist."Atelectasis" AS TINYINT) AS "Atelectasis"
    , CAST(radiologist."Cardiomegaly" AS TINYINT) AS "Cardiomegaly"
    , CAST(radiologist."Consolidation" AS TINYINT) AS "Consolidation"
    , CAST(radiologist."Edema" AS TINYINT) AS "Edema"
    , CAST(radiologist."Enlarged Cardiomediastinum" AS TINYINT) AS "Enlarged Cardiomediastinum"
    , CAST(radiologist."Fracture" AS TINYINT) AS "Fracture"
    , CAST(radiologist."Lung Lesion" AS TINYINT) AS "Lung Lesion"
    , CAST(radiologist."airspace opacity" AS TINYINT) AS "Lung Opacity"
    , CAST(radiologist."No Finding" AS TINYINT) AS "No Finding"
    , CAST(radiologist."Pleural Effusion" AS TINYINT) AS "Pleural Effusion"
    , CAST(radiologist."Pleural Other" AS TINYINT) AS "Pleural Other"
    , CAST(radiologist."Pneumonia" AS TINYINT) AS "Pneumonia"
    , CAST(radiologist."Pneumothorax" AS TINYINT) AS "Pneumothorax"
    , CAST(radiologist."Support Devices" AS TINYINT) AS "Support Devices"
FROM cxr_radiologist AS radiologist
ORDER BY study_id
