-- Grain: one row per (source_row, attribute) of Chest ImaGenome's comparisons, dropped ones with a
-- reason. A row may name several attributes and several directions, joined by ';;'.
SELECT
    said.source_row
    , said.attribute
    , said.directions[1] AS direction
    , previous.study_id AS previous_study_id
    , target.study_id AS target_study_id
    , CASE
        WHEN
            (said.attribute IN (
                'pleural effusion'
                , 'enlarged cardiac silhouette'
                , 'lung opacity'
                , 'pulmonary edema/hazy opacity'
                , 'pneumonia'
                , 'consolidation'
                , 'vascular congestion'
                , 'pneumothorax'
                , 'enlarged hilum'
                , 'mediastinal widening'
                , 'atelectasis'
            )) IS NOT TRUE
            THEN '01 an attribute of no change label'
        WHEN
            (
                LEN(said.directions) = 1
                AND said.directions[1] IN ('improved', 'worsened', 'no change')
            ) IS NOT TRUE
            THEN '02 several directions, or none'
        WHEN
            previous.study_id IS NULL OR target.study_id IS NULL
            THEN '03 film not in the metadata'
        WHEN
            NOT EXISTS (
                SELECT 1
                FROM pair
                WHERE
                    pair.previous_study_id = previous.study_id
                    AND pair.target_study_id = target.study_id
            )
            THEN '04 between studies of no pair'
    END AS drop_reason
FROM (
    SELECT DISTINCT
        source_row
        , previous_dicom_id
        , target_dicom_id
        -- category|yes or no|attribute; "no" with a direction still says how it changed.
        , SPLIT_PART(UNNEST(STRING_SPLIT_REGEX(attribute, '\s*;;\s*')), '|', 3) AS attribute
        , LIST_SORT(LIST_DISTINCT(STRING_SPLIT_REGEX(comparison, '\s*;;\s*'))) AS directions
    FROM imagenome_comparison
) AS said
LEFT JOIN cxr_metadata AS previous
    ON said.previous_dicom_id = previous.dicom_id
LEFT JOIN cxr_metadata AS target
    ON said.target_dicom_id = target.dicom_id
ORDER BY source_row, attribute
