-- Grain: one row per rateuom, in lower case, in which a vasopressor may run. per_minute: what one of it
-- is in mcg/min, or in units/min where is_in_units; per kg of the patient where is_per_kg.
-- MIMIC-IV's are mcg/kg/min, mcg/min, mg/kg/min, units/hour and units/min; the others are the same
-- written in another measure of mass or time.
SELECT
    rateuom
    , CAST(per_minute AS DOUBLE) AS per_minute
    , is_per_kg
    , is_in_units
FROM (
    VALUES
    ('mcg/kg/min', 1.0, TRUE, FALSE)
    , ('mcg/kg/hour', 1.0 / 60, TRUE, FALSE)
    , ('mg/kg/min', 1000.0, TRUE, FALSE)
    , ('mg/kg/hour', 1000.0 / 60, TRUE, FALSE)
    , ('ng/kg/min', 0.001, TRUE, FALSE)
    , ('ng/kg/hour', 0.001 / 60, TRUE, FALSE)
    , ('mcg/min', 1.0, FALSE, FALSE)
    , ('mcg/hour', 1.0 / 60, FALSE, FALSE)
    , ('mg/min', 1000.0, FALSE, FALSE)
    , ('mg/hour', 1000.0 / 60, FALSE, FALSE)
    , ('ng/min', 0.001, FALSE, FALSE)
    , ('units/min', 1.0, FALSE, TRUE)
    , ('units/hour', 1.0 / 60, FALSE, TRUE)
) AS listed (rateuom, per_minute, is_per_kg, is_in_units)
ORDER BY rateuom
