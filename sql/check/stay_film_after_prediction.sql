-- Grain: one row per stay whose film was taken after its prediction time.
SELECT key
FROM stay
WHERE previous_dicom_id IS NOT NULL
    AND (previous_at <= prediction_at) IS NOT TRUE
ORDER BY key
