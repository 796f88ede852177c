-- Grain: one row per inputevents row, dropped ones with a reason.
-- Kept: every item.
-- Text: the table, then each column that holds something and its value, blank-separated; numbers
-- in their shortest form, to 4 decimals.
SELECT
    input.subject_id
    , input.hadm_id
    , input.starttime AS event_at
    , GREATEST(input.starttime, input.storetime) AS known_at
    , CAST(2 AS UTINYINT) AS event_table
    , input.source_row
    , CONCAT_WS(
        ' '
        , 'inputevents'
        , 'itemid ' || NULLIF(TRIM(item.label), '')
        , 'amount ' || PRINTF('%.15g', ROUND(input.amount, 4))
        , 'amountuom ' || NULLIF(TRIM(input.amountuom), '')
        , 'rate ' || PRINTF('%.15g', ROUND(input.rate, 4))
        , 'rateuom ' || NULLIF(TRIM(input.rateuom), '')
        , 'ordercategoryname ' || NULLIF(TRIM(input.ordercategoryname), '')
        , 'secondaryordercategoryname ' || NULLIF(TRIM(input.secondaryordercategoryname), '')
        , 'ordercomponenttypedescription '
        || NULLIF(TRIM(input.ordercomponenttypedescription), '')
        , 'ordercategorydescription ' || NULLIF(TRIM(input.ordercategorydescription), '')
        , 'patientweight ' || PRINTF('%.15g', ROUND(input.patientweight, 4))
        , 'totalamount ' || PRINTF('%.15g', ROUND(input.totalamount, 4))
        , 'totalamountuom ' || NULLIF(TRIM(input.totalamountuom), '')
        , 'isopenbag ' || input.isopenbag
        , 'originalamount ' || PRINTF('%.15g', ROUND(input.originalamount, 4))
        , 'originalrate ' || PRINTF('%.15g', ROUND(input.originalrate, 4))
    ) AS text
    , CASE
        WHEN input.hadm_id IS NULL THEN '01 no admission named'
        WHEN admission.hadm_id IS NULL THEN '02 admission without the films a sample needs'
        WHEN input.starttime IS NULL THEN '03 no time'
    END AS drop_reason
FROM inputevents AS input
LEFT JOIN d_items AS item
    ON input.itemid = item.itemid
LEFT JOIN filmed_admission AS admission
    ON input.hadm_id = admission.hadm_id
ORDER BY subject_id, event_at, event_table, source_row
