-- Grain: one row per measurement: what is outside [low, high] is an error, and why.
-- A pressure's diastolic number has a lower end of its own, low_of_last. Units are those of the
-- contract's static values.
SELECT
    measurement
    , low
    , high
    , low_of_last
    , reason
FROM (
    VALUES
    ('bmi', 10.0, 120.0, 10.0, 'adults; outside it a height or weight is in another unit')
    , ('pressure', 40.0, 300.0, 20.0, 'of a patient who walks in; a cuff reads no higher than 300')
    , ('height', 39.0, 99.0, 39.0, '100 to 250 cm; more is in centimetres')
    , ('weight', 44.0, 1103.0, 44.0, '20 to 500 kg; more is a wrong digit')
) AS listed (measurement, low, high, low_of_last, reason)
ORDER BY measurement
