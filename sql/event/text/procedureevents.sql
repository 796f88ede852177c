-- Grain: one row per procedureevents row, dropped ones with a reason.
-- Kept: the order categories of procedure_category.sql.
-- Text: the table, then each column that holds something and its value, blank-separated; numbers
-- in their shortest form, to 4 decimals.
SELECT
    procedure_event.subject_id
    , procedure_event.hadm_id
    , procedure_event.starttime AS event_at
    , GREATEST(procedure_event.starttime, procedure_event.storetime) AS known_at
    , CAST(6 AS UTINYINT) AS event_table
    , procedure_event.source_row
    , CONCAT_WS(
        ' '
        , 'procedureevents'
        , 'itemid ' || NULLIF(TRIM(item.label), '')
        , 'value ' || PRINTF('%.15g', ROUND(procedure_event.value, 4))
        , 'valueuom ' || NULLIF(TRIM(procedure_event.valueuom), '')
        , 'location ' || NULLIF(TRIM(procedure_event.location), '')
        , 'locationcategory ' || NULLIF(TRIM(procedure_event.locationcategory), '')
        , 'ordercategoryname ' || NULLIF(TRIM(procedure_event.ordercategoryname), '')
        , 'ordercategorydescription '
        || NULLIF(TRIM(procedure_event.ordercategorydescription), '')
        , 'patientweight ' || PRINTF('%.15g', ROUND(procedure_event.patientweight, 4))
        , 'isopenbag ' || procedure_event.isopenbag
        , 'originalamount ' || PRINTF('%.15g', ROUND(procedure_event.originalamount, 4))
        , 'originalrate ' || PRINTF('%.15g', ROUND(procedure_event.originalrate, 4))
    ) AS text
    , CASE
        WHEN listed.ordercategoryname IS NULL THEN '01 order category not used'
        WHEN procedure_event.hadm_id IS NULL THEN '02 no admission named'
        WHEN admission.hadm_id IS NULL THEN '03 admission without the films a sample needs'
        WHEN procedure_event.starttime IS NULL THEN '04 no time'
    END AS drop_reason
FROM procedureevents AS procedure_event
LEFT JOIN procedure_category AS listed
    ON procedure_event.ordercategoryname = listed.ordercategoryname
LEFT JOIN d_items AS item
    ON procedure_event.itemid = item.itemid
LEFT JOIN filmed_admission AS admission
    ON procedure_event.hadm_id = admission.hadm_id
ORDER BY subject_id, event_at, event_table, source_row
