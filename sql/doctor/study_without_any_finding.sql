-- Grain: one row per labelled study of which CheXpert's labels say nothing at all.
SELECT study_id
FROM cxr_chexpert
WHERE
    COALESCE(
        "Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Enlarged Cardiomediastinum"
        , "Fracture", "Lung Lesion", "Lung Opacity", "No Finding", "Pleural Effusion"
        , "Pleural Other", "Pneumonia", "Pneumothorax", "Support Devices"
    ) IS NULL
ORDER BY study_id
