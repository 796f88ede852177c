-- Grain: one row per (source, itemid) that is read as one of the 17 variables of DDL-CXR.
-- The map of specs ddl-cxr 3.1, corrected: capillary refill (223951, 224308) is added; urine pH and
-- glucose (51478, 51094, 51491) and the pH of other fluids (50831) are left out. MIMIC-IV charts no
-- GCS total (226755 is an APACHE score), so that variable is never observed.
-- Transforms are defined in measurement/chartevents.sql and measurement/labevents.sql.
SELECT
    itemid
    , source
    , variable
    , transform
FROM (
    VALUES
    (223951, 'chartevents', 'Capillary refill rate', 'category')
    , (224308, 'chartevents', 'Capillary refill rate', 'category')
    , (220051, 'chartevents', 'Diastolic blood pressure', 'number')
    , (220180, 'chartevents', 'Diastolic blood pressure', 'number')
    , (224643, 'chartevents', 'Diastolic blood pressure', 'number')
    , (225310, 'chartevents', 'Diastolic blood pressure', 'number')
    , (223835, 'chartevents', 'Fraction inspired oxygen', 'fraction')
    , (220739, 'chartevents', 'GCS eye opening', 'category')
    , (223901, 'chartevents', 'GCS motor response', 'category')
    , (223900, 'chartevents', 'GCS verbal response', 'category')
    , (220621, 'chartevents', 'Glucose', 'number')
    , (225664, 'chartevents', 'Glucose', 'number')
    , (226537, 'chartevents', 'Glucose', 'number')
    , (50809, 'labevents', 'Glucose', 'number')
    , (50931, 'labevents', 'Glucose', 'number')
    , (220045, 'chartevents', 'Heart Rate', 'number')
    , (226707, 'chartevents', 'Height', 'inch')
    , (226730, 'chartevents', 'Height', 'number')
    , (220052, 'chartevents', 'Mean blood pressure', 'number')
    , (220181, 'chartevents', 'Mean blood pressure', 'number')
    , (224322, 'chartevents', 'Mean blood pressure', 'number')
    , (225312, 'chartevents', 'Mean blood pressure', 'number')
    , (220227, 'chartevents', 'Oxygen saturation', 'percent')
    , (220277, 'chartevents', 'Oxygen saturation', 'percent')
    , (50817, 'labevents', 'Oxygen saturation', 'percent')
    , (220210, 'chartevents', 'Respiratory rate', 'number')
    , (224422, 'chartevents', 'Respiratory rate', 'number')
    , (224689, 'chartevents', 'Respiratory rate', 'number')
    , (224690, 'chartevents', 'Respiratory rate', 'number')
    , (220050, 'chartevents', 'Systolic blood pressure', 'number')
    , (220179, 'chartevents', 'Systolic blood pressure', 'number')
    , (224167, 'chartevents', 'Systolic blood pressure', 'number')
    , (225309, 'chartevents', 'Systolic blood pressure', 'number')
    , (227243, 'chartevents', 'Systolic blood pressure', 'number')
    , (223761, 'chartevents', 'Temperature', 'fahrenheit')
    , (223762, 'chartevents', 'Temperature', 'celsius')
    , (224639, 'chartevents', 'Weight', 'number')
    , (226512, 'chartevents', 'Weight', 'number')
    , (226531, 'chartevents', 'Weight', 'pound')
    , (220274, 'chartevents', 'pH', 'number')
    , (223830, 'chartevents', 'pH', 'number')
    , (50820, 'labevents', 'pH', 'number')
) AS listed (itemid, source, variable, transform)
ORDER BY source, itemid
