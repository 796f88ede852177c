-- Grain: one row per result_name of omr that is read as one of four measurements.
-- A name without a unit counts as the name with it; a pressure of a stated posture counts as none
-- (specs diff3m 3.3 to 3.5).
SELECT
    result_name
    , measurement
FROM (
    VALUES
    ('BMI', 'bmi')
    , ('BMI (kg/m2)', 'bmi')
    , ('Blood Pressure', 'pressure')
    , ('Height', 'height')
    , ('Height (Inches)', 'height')
    , ('Weight', 'weight')
    , ('Weight (Lbs)', 'weight')
) AS listed (result_name, measurement)
ORDER BY result_name
