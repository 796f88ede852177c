-- Grain: one row per prescriptions row, dropped ones with a reason.
-- Kept: the drugs of drug.sql, or every row ($selection). Known when it starts: no storetime is
-- recorded.
-- Text: the table, then each column that holds something and its value, CHR(31) between the parts;
-- numbers in their shortest form, to 4 decimals.
SELECT
    prescription.subject_id
    , COALESCE(prescription.hadm_id, by_time.hadm_id) AS hadm_id
    , prescription.starttime AS event_at
    , CASE
        WHEN prescription.stoptime > prescription.starttime THEN prescription.stoptime
    END AS ends_at
    , prescription.starttime AS known_at
    , CAST(1 AS UTINYINT) AS event_table
    , prescription.source_row
    , CONCAT_WS(
        CHR(31)
        , 'prescriptions'
        , 'drug_type' || CHR(31) || NULLIF(TRIM(prescription.drug_type), '')
        , 'drug' || CHR(31) || NULLIF(TRIM(prescription.drug), '')
        , 'prod_strength' || CHR(31) || NULLIF(TRIM(prescription.prod_strength), '')
        , 'form_rx' || CHR(31) || NULLIF(TRIM(prescription.form_rx), '')
        , 'dose_val_rx' || CHR(31) || CASE
            WHEN
                LENGTH(prescription.dose_val_rx) > 5
                AND REGEXP_FULL_MATCH(prescription.dose_val_rx, '-?[0-9]*\.[0-9]{5,}')
                THEN PRINTF('%.15g', ROUND(CAST(prescription.dose_val_rx AS DOUBLE), 4))
            ELSE NULLIF(TRIM(prescription.dose_val_rx), '')
        END
        , 'dose_unit_rx' || CHR(31) || NULLIF(TRIM(prescription.dose_unit_rx), '')
        , 'form_val_disp' || CHR(31) || CASE
            WHEN
                LENGTH(prescription.form_val_disp) > 5
                AND REGEXP_FULL_MATCH(prescription.form_val_disp, '-?[0-9]*\.[0-9]{5,}')
                THEN PRINTF('%.15g', ROUND(CAST(prescription.form_val_disp AS DOUBLE), 4))
            ELSE NULLIF(TRIM(prescription.form_val_disp), '')
        END
        , 'form_unit_disp' || CHR(31) || NULLIF(TRIM(prescription.form_unit_disp), '')
        , 'doses_per_24_hrs' || CHR(31) || PRINTF('%.15g', ROUND(prescription.doses_per_24_hrs, 4))
        , 'route' || CHR(31) || NULLIF(TRIM(prescription.route), '')
    ) AS text
    , CASE
        WHEN $selection = 'listed' AND listed.drug IS NULL THEN '01 drug not used'
        WHEN
            COALESCE(prescription.hadm_id, by_time.hadm_id) IS NULL
            THEN '02 no admission named, and begun in none that has films'
        WHEN admission.hadm_id IS NULL THEN '03 admission without the films a sample needs'
        WHEN prescription.starttime IS NULL THEN '04 no time'
    END AS drop_reason
FROM prescriptions AS prescription
LEFT JOIN drug AS listed
    ON prescription.drug = listed.drug
LEFT JOIN admission_time AS by_time
    ON
        CASE WHEN prescription.hadm_id IS NULL THEN prescription.subject_id END = by_time.subject_id
        AND prescription.starttime >= by_time.from_at
        AND prescription.starttime < by_time.until_at
LEFT JOIN filmed_admission AS admission
    ON COALESCE(prescription.hadm_id, by_time.hadm_id) = admission.hadm_id
ORDER BY subject_id, event_at, event_table, source_row
