-- Grain: one row per study and finding of its report: CXR//FINDING//<finding>; numeric_value: 1
-- present, 0 absent, -1 uncertain. Stands at the study's last film, and is known
-- $report_after_hours after it, as the report is.
SELECT
    label.subject_id
    , CAST(NULL AS BIGINT) AS hadm_id
    , study.taken_at AS event_at
    , study.taken_at + TO_SECONDS($report_after_hours * 3600) AS known_at
    , 'CXR//FINDING//' || label.finding AS code
    , CAST(label.value AS FLOAT) AS numeric_value
    , CAST(NULL AS VARCHAR) AS text_value
    , label.source_row
    , CASE WHEN study.taken_at IS NULL THEN '01 of a study without a film that has a time' END
        AS drop_reason
FROM (
    UNPIVOT cxr_finding
    ON
        "No Finding"
        , "Enlarged Cardiomediastinum"
        , "Cardiomegaly"
        , "Lung Lesion"
        , "Lung Opacity"
        , "Edema"
        , "Consolidation"
        , "Pneumonia"
        , "Atelectasis"
        , "Pneumothorax"
        , "Pleural Effusion"
        , "Pleural Other"
        , "Fracture"
        , "Support Devices"
    INTO
    NAME finding
    VALUE value
) AS label
LEFT JOIN (
    SELECT
        subject_id
        , study_id
        , MAX(taken_at) AS taken_at
    FROM taken_film
    WHERE drop_reason IS NULL
    GROUP BY subject_id, study_id
) AS study
    ON label.subject_id = study.subject_id AND label.study_id = study.study_id
ORDER BY subject_id, source_row, code
