-- Grain: one row per continuous variable: values outside [low, high] are errors, and why.
-- Units are those of the contract. Wider than the bounds that values are clipped to on reading.
SELECT
    variable
    , low
    , high
    , reason
FROM (
    VALUES
    ('Diastolic blood pressure', 1.0, 300.0, 'a cuff reads no higher; 0 is a disconnected line')
    , ('Fraction inspired oxygen', 0.2, 1.0, 'room air holds 0.21, and nothing more than 1')
    , ('Glucose', 5.0, 2500.0, 'the highest measured in the living are near 2,500')
    , ('Heart Rate', 0.0, 350.0, '0 is asystole; no ventricle follows more than 350')
    , ('Height', 100.0, 250.0, 'adults; less is in another unit')
    , ('Mean blood pressure', 1.0, 330.0, 'between the other two pressures')
    , ('Oxygen saturation', 1.0, 100.0, 'a percentage')
    , ('Respiratory rate', 0.0, 120.0, '0 is apnoea; high-frequency ventilation is charted elsewhere')
    , ('Systolic blood pressure', 1.0, 400.0, 'a cuff reads no higher; 0 is a disconnected line')
    , ('Temperature', 15.0, 46.0, 'accidental hypothermia survived at 13.7, hyperthermia at 46.5')
    , ('Weight', 20.0, 500.0, 'adults; more is in another unit or a wrong digit')
    , ('pH', 6.5, 8.0, 'blood; the living are within')
) AS listed (variable, low, high, reason)
ORDER BY variable
