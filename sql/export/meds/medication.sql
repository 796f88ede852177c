-- Grain: one row per prescriptions row and edge: MEDICATION//START//<drug>//<unit>, with the dose
-- (text_value where it is no number), and MEDICATION//STOP//<drug>. When an order was written is
-- not recorded: each is known when it happens.
SELECT
    prescription.subject_id
    , prescription.hadm_id
    , CASE edge.name WHEN 'START' THEN prescription.starttime ELSE prescription.stoptime END
        AS event_at
    , CASE edge.name WHEN 'START' THEN prescription.starttime ELSE prescription.stoptime END
        AS known_at
    , 'MEDICATION//' || edge.name
    || '//' || COALESCE(NULLIF(TRIM(prescription.drug), ''), 'UNK')
    || CASE
        WHEN
            edge.name = 'START'
            THEN '//' || COALESCE(NULLIF(TRIM(prescription.dose_unit_rx), ''), 'UNK')
        ELSE ''
    END AS code
    , CASE WHEN edge.name = 'START' THEN TRY_CAST(prescription.dose_val_rx AS FLOAT) END
        AS numeric_value
    , CASE
        WHEN
            edge.name = 'START' AND TRY_CAST(prescription.dose_val_rx AS FLOAT) IS NULL
            THEN NULLIF(TRIM(prescription.dose_val_rx), '')
    END AS text_value
    , prescription.source_row
    , CASE
        WHEN
            CASE edge.name WHEN 'START' THEN prescription.starttime ELSE prescription.stoptime END
            IS NULL
            THEN '01 no time'
        WHEN
            edge.name = 'STOP' AND prescription.stoptime < prescription.starttime
            THEN '02 ends before it starts'
    END AS drop_reason
FROM prescriptions AS prescription
CROSS JOIN (VALUES ('START'), ('STOP')) AS edge (name)
ORDER BY subject_id, source_row, code
