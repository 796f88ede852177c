-- Grain: one row per stay sample, those without a film with a reason. Nothing is dropped here: with
-- $pairing = 'partial' all are samples, and the ledger says how many have both modalities.
SELECT
    key
    , CASE WHEN previous_dicom_id IS NULL THEN '01 no film in its interval' END AS drop_reason
FROM stay_sample
WHERE drop_reason IS NULL
ORDER BY key
