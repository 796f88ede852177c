-- Grain: one row per (source, itemid) that is read as one of the 17 variables of DDL-CXR.
-- The map of specs ddl-cxr 3.1. Rows for "published" are left out by $blood_without_urine: urine pH
-- and glucose (51478, 51094, 51491) and the pH of other fluids (50831). Rows for "corrected" come in
-- by $gcs_total_and_refill: capillary refill (223951, 224308) and the totals of the coma scale that
-- the APACHE scores chart (226755, 227013; measurement/gcs_total.sql adds the sums).
-- Transforms are defined in measurement/chartevents.sql and measurement/labevents.sql.
SELECT
    itemid
    , source
    , variable
    , transform
FROM (
    VALUES
    (223951, 'chartevents', 'Capillary refill rate', 'category', 'corrected')
    , (224308, 'chartevents', 'Capillary refill rate', 'category', 'corrected')
    , (220051, 'chartevents', 'Diastolic blood pressure', 'diastolic', 'both')
    , (220180, 'chartevents', 'Diastolic blood pressure', 'diastolic', 'both')
    , (224643, 'chartevents', 'Diastolic blood pressure', 'diastolic', 'both')
    , (225310, 'chartevents', 'Diastolic blood pressure', 'diastolic', 'both')
    , (223835, 'chartevents', 'Fraction inspired oxygen', 'fraction', 'both')
    , (220739, 'chartevents', 'GCS eye opening', 'category', 'both')
    , (223901, 'chartevents', 'GCS motor response', 'category', 'both')
    , (226755, 'chartevents', 'GCS total', 'score', 'corrected')
    , (227013, 'chartevents', 'GCS total', 'score', 'corrected')
    , (223900, 'chartevents', 'GCS verbal response', 'category', 'both')
    , (220621, 'chartevents', 'Glucose', 'laboratory', 'both')
    , (225664, 'chartevents', 'Glucose', 'laboratory', 'both')
    , (226537, 'chartevents', 'Glucose', 'laboratory', 'both')
    , (50809, 'labevents', 'Glucose', 'laboratory', 'both')
    , (50931, 'labevents', 'Glucose', 'laboratory', 'both')
    , (51478, 'labevents', 'Glucose', 'laboratory', 'published')
    , (220045, 'chartevents', 'Heart Rate', 'uncleaned', 'both')
    , (226707, 'chartevents', 'Height', 'inch', 'both')
    , (226730, 'chartevents', 'Height', 'number', 'both')
    , (220052, 'chartevents', 'Mean blood pressure', 'uncleaned', 'both')
    , (220181, 'chartevents', 'Mean blood pressure', 'uncleaned', 'both')
    , (224322, 'chartevents', 'Mean blood pressure', 'uncleaned', 'both')
    , (225312, 'chartevents', 'Mean blood pressure', 'uncleaned', 'both')
    , (220227, 'chartevents', 'Oxygen saturation', 'percent', 'both')
    , (220277, 'chartevents', 'Oxygen saturation', 'percent', 'both')
    , (50817, 'labevents', 'Oxygen saturation', 'percent', 'both')
    , (220210, 'chartevents', 'Respiratory rate', 'uncleaned', 'both')
    , (224422, 'chartevents', 'Respiratory rate', 'uncleaned', 'both')
    , (224689, 'chartevents', 'Respiratory rate', 'uncleaned', 'both')
    , (224690, 'chartevents', 'Respiratory rate', 'uncleaned', 'both')
    , (220050, 'chartevents', 'Systolic blood pressure', 'systolic', 'both')
    , (220179, 'chartevents', 'Systolic blood pressure', 'systolic', 'both')
    , (224167, 'chartevents', 'Systolic blood pressure', 'systolic', 'both')
    , (225309, 'chartevents', 'Systolic blood pressure', 'systolic', 'both')
    , (227243, 'chartevents', 'Systolic blood pressure', 'systolic', 'both')
    , (223761, 'chartevents', 'Temperature', 'fahrenheit', 'both')
    , (223762, 'chartevents', 'Temperature', 'celsius', 'both')
    , (224639, 'chartevents', 'Weight', 'number', 'both')
    , (226512, 'chartevents', 'Weight', 'number', 'both')
    , (226531, 'chartevents', 'Weight', 'pound', 'both')
    , (220274, 'chartevents', 'pH', 'laboratory', 'both')
    , (223830, 'chartevents', 'pH', 'laboratory', 'both')
    , (50820, 'labevents', 'pH', 'laboratory', 'both')
    , (50831, 'labevents', 'pH', 'laboratory', 'published')
    , (51094, 'labevents', 'pH', 'laboratory', 'published')
    , (51491, 'labevents', 'pH', 'laboratory', 'published')
) AS listed (itemid, source, variable, transform, fidelity)
WHERE
    fidelity = 'both'
    OR (fidelity = 'published' AND NOT $blood_without_urine)
    OR (fidelity = 'corrected' AND $gcs_total_and_refill)
ORDER BY source, itemid
