"""The variables of the environment that are put over paths of params.yaml."""

ENVIRONMENT = {
    "mimic_iv": "MIMIC_IV_DIR",
    "mimic_cxr_jpg": "MIMIC_CXR_JPG_DIR",
    "chest_imagenome": "CHEST_IMAGENOME_DIR",
    "mimic_cxr_reports": "MIMIC_CXR_REPORTS_DIR",
    "films": "MIMIC_CXR_FILMS_DIR",
}
