-- Grain: one row per order category of procedures that EHRXDiff keeps (specs ehrxdiff A.4).
SELECT ordercategoryname
FROM (
    VALUES
    ('17 - Inhaled Meds')
    , ('Imaging')
    , ('Intubation/Extubation')
    , ('Invasive Lines')
    , ('Procedures')
    , ('Significant Events')
    , ('Ventilation')
) AS listed (ordercategoryname)
ORDER BY ordercategoryname
