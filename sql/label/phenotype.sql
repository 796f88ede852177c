-- Grain: one row per hadm_id of the benchmark's stays, one an admission; false where no diagnosis matches.
SELECT
    stay.stay_id
    , stay.hadm_id
    , COALESCE(BOOL_OR(found.phenotype = 'Acute and unspecified renal failure'), FALSE)
        AS "Acute and unspecified renal failure"
    , COALESCE(BOOL_OR(found.phenotype = 'Acute cerebrovascular disease'), FALSE)
        AS "Acute cerebrovascular disease"
    , COALESCE(BOOL_OR(found.phenotype = 'Acute myocardial infarction'), FALSE)
        AS "Acute myocardial infarction"
    , COALESCE(BOOL_OR(found.phenotype = 'Cardiac dysrhythmias'), FALSE) AS "Cardiac dysrhythmias"
    , COALESCE(BOOL_OR(found.phenotype = 'Chronic kidney disease'), FALSE)
        AS "Chronic kidney disease"
    , COALESCE(BOOL_OR(found.phenotype = 'Chronic obstructive pulmonary disease and bronchiectasis'), FALSE)
        AS "Chronic obstructive pulmonary disease and bronchiectasis"
    , COALESCE(BOOL_OR(found.phenotype = 'Complications of surgical procedures or medical care'), FALSE)
        AS "Complications of surgical procedures or medical care"
    , COALESCE(BOOL_OR(found.phenotype = 'Conduction disorders'), FALSE) AS "Conduction disorders"
    , COALESCE(BOOL_OR(found.phenotype = 'Congestive heart failure; nonhypertensive'), FALSE)
        AS "Congestive heart failure; nonhypertensive"
    , COALESCE(BOOL_OR(found.phenotype = 'Coronary atherosclerosis and other heart disease'), FALSE)
        AS "Coronary atherosclerosis and other heart disease"
    , COALESCE(BOOL_OR(found.phenotype = 'Diabetes mellitus with complications'), FALSE)
        AS "Diabetes mellitus with complications"
    , COALESCE(BOOL_OR(found.phenotype = 'Diabetes mellitus without complication'), FALSE)
        AS "Diabetes mellitus without complication"
    , COALESCE(BOOL_OR(found.phenotype = 'Disorders of lipid metabolism'), FALSE)
        AS "Disorders of lipid metabolism"
    , COALESCE(BOOL_OR(found.phenotype = 'Essential hypertension'), FALSE)
        AS "Essential hypertension"
    , COALESCE(BOOL_OR(found.phenotype = 'Fluid and electrolyte disorders'), FALSE)
        AS "Fluid and electrolyte disorders"
    , COALESCE(BOOL_OR(found.phenotype = 'Gastrointestinal hemorrhage'), FALSE)
        AS "Gastrointestinal hemorrhage"
    , COALESCE(BOOL_OR(found.phenotype = 'Hypertension with complications and secondary hypertension'), FALSE)
        AS "Hypertension with complications and secondary hypertension"
    , COALESCE(BOOL_OR(found.phenotype = 'Other liver diseases'), FALSE) AS "Other liver diseases"
    , COALESCE(BOOL_OR(found.phenotype = 'Other lower respiratory disease'), FALSE)
        AS "Other lower respiratory disease"
    , COALESCE(BOOL_OR(found.phenotype = 'Other upper respiratory disease'), FALSE)
        AS "Other upper respiratory disease"
    , COALESCE(BOOL_OR(found.phenotype = 'Pleurisy; pneumothorax; pulmonary collapse'), FALSE)
        AS "Pleurisy; pneumothorax; pulmonary collapse"
    , COALESCE(BOOL_OR(found.phenotype = 'Pneumonia (except that caused by tuberculosis or sexually transmitted disease)'), FALSE)
        AS "Pneumonia (except that caused by tuberculosis or sexually transmitted disease)"
    , COALESCE(BOOL_OR(found.phenotype = 'Respiratory failure; insufficiency; arrest (adult)'), FALSE)
        AS "Respiratory failure; insufficiency; arrest (adult)"
    , COALESCE(BOOL_OR(found.phenotype = 'Septicemia (except in labor)'), FALSE)
        AS "Septicemia (except in labor)"
    , COALESCE(BOOL_OR(found.phenotype = 'Shock'), FALSE) AS "Shock"
FROM kept_stay AS stay
LEFT JOIN stay_phenotype AS found
    ON stay.hadm_id = found.hadm_id
GROUP BY stay.stay_id, stay.hadm_id
ORDER BY stay_id, hadm_id
