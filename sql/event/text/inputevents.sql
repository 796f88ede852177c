-- Grain: one row per inputevents row, dropped ones with a reason.
-- Kept: every item.
-- If $amounts_left_out, what runs for more than a minute shows its rate and no amount: how much of
-- the bag it gives is known at its end.
-- Text: the table, then each column that holds something and its value, CHR(31) between the parts;
-- numbers in their shortest form, to 4 decimals.
SELECT
    input.subject_id
    , COALESCE(input.hadm_id, by_time.hadm_id) AS hadm_id
    , input.starttime AS event_at
    , CASE WHEN input.endtime > input.starttime THEN input.endtime END AS ends_at
    , GREATEST(input.starttime, input.storetime) AS known_at
    , CAST(2 AS UTINYINT) AS event_table
    , input.source_row
    , CONCAT_WS(
        CHR(31)
        , 'inputevents'
        , 'itemid' || CHR(31) || NULLIF(TRIM(item.label), '')
        , 'amount' || CHR(31)
        || CASE WHEN NOT input.hides_amount THEN PRINTF('%.15g', ROUND(input.amount, 4)) END
        , 'amountuom' || CHR(31)
        || CASE WHEN NOT input.hides_amount THEN NULLIF(TRIM(input.amountuom), '') END
        , 'rate' || CHR(31) || PRINTF('%.15g', ROUND(input.rate, 4))
        , 'rateuom' || CHR(31) || NULLIF(TRIM(input.rateuom), '')
        , 'ordercategoryname' || CHR(31) || NULLIF(TRIM(input.ordercategoryname), '')
        , 'secondaryordercategoryname' || CHR(31)
        || NULLIF(TRIM(input.secondaryordercategoryname), '')
        , 'ordercomponenttypedescription' || CHR(31)
        || NULLIF(TRIM(input.ordercomponenttypedescription), '')
        , 'ordercategorydescription' || CHR(31) || NULLIF(TRIM(input.ordercategorydescription), '')
        , 'patientweight' || CHR(31) || PRINTF('%.15g', ROUND(input.patientweight, 4))
        , 'totalamount' || CHR(31)
        || CASE WHEN NOT input.hides_amount THEN PRINTF('%.15g', ROUND(input.totalamount, 4)) END
        , 'totalamountuom' || CHR(31)
        || CASE WHEN NOT input.hides_amount THEN NULLIF(TRIM(input.totalamountuom), '') END
        , 'isopenbag' || CHR(31) || NULLIF(input.isopenbag, 0)
        , 'originalamount' || CHR(31)
        || CASE WHEN NOT input.hides_amount THEN PRINTF('%.15g', ROUND(input.originalamount, 4)) END
        , 'originalrate' || CHR(31) || PRINTF('%.15g', ROUND(input.originalrate, 4))
    ) AS text
    , CASE
        WHEN
            COALESCE(input.hadm_id, by_time.hadm_id) IS NULL
            THEN '01 no admission named, and begun in none that has films'
        WHEN admission.hadm_id IS NULL THEN '02 admission without the films a sample needs'
        WHEN input.starttime IS NULL THEN '03 no time'
    END AS drop_reason
FROM (
    SELECT
        *
        , COALESCE($amounts_left_out AND endtime > starttime + TO_MINUTES(1), FALSE) AS hides_amount
    FROM inputevents
) AS input
LEFT JOIN d_items AS item
    ON input.itemid = item.itemid
LEFT JOIN admission_time AS by_time
    ON
        CASE WHEN input.hadm_id IS NULL THEN input.subject_id END = by_time.subject_id
        AND input.starttime >= by_time.from_at
        AND input.starttime < by_time.until_at
LEFT JOIN filmed_admission AS admission
    ON COALESCE(input.hadm_id, by_time.hadm_id) = admission.hadm_id
ORDER BY subject_id, event_at, event_table, source_row
