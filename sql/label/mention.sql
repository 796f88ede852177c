-- Grain: one row per source_row of Chest ImaGenome's attributes, dropped ones with a reason.
-- EHRXDiff's rule (specs ehrxdiff 10.1, steps 1 to 4): rows of the category nlp go; of the rows on
-- one attribute of one region of a film the last sentence counts, of two in a sentence the last
-- row; the study must have a frontal film in MIMIC-CXR.
SELECT
    said.source_row
    , REPLACE(said.image_id, '.dcm', '') AS dicom_id
    , said.label_name AS attribute
    , said.relation
    , CASE
        WHEN
            (said.label_name IN (
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
            )) IS NOT TRUE
            THEN '01 an attribute of no label'
        WHEN said.category = 'nlp' THEN '02 of the category nlp'
        WHEN
            ROW_NUMBER()
                OVER (
                    PARTITION BY
                        said.study_id
                        , said.image_id
                        , said.bbox
                        , said.label_name
                        , said.category IS DISTINCT FROM 'nlp'
                    ORDER BY said.sentence_at DESC NULLS FIRST, said.source_row DESC
                )
            > 1
            THEN '03 a later sentence on the region'
        WHEN
            (said.study_id IN (
                SELECT film.study_id
                FROM cxr_metadata AS film
                WHERE film.viewposition IN ('PA', 'AP')
            )) IS NOT TRUE
            THEN '04 study without a frontal film'
    END AS drop_reason
FROM imagenome_attribute AS said
ORDER BY source_row
