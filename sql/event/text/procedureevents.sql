-- Grain: one row per procedureevents row, dropped ones with a reason.
-- Kept: the order categories of procedure_category.sql, or every row ($selection).
-- If $durations_left_out, what lasts says nothing of how long: value and originalamount are its
-- minutes, which nobody knows at its start.
-- Text: the table, then each column that holds something and its value, CHR(31) between the parts;
-- numbers in their shortest form, to 4 decimals.
SELECT
    procedure_event.subject_id
    , COALESCE(procedure_event.hadm_id, by_time.hadm_id) AS hadm_id
    , procedure_event.starttime AS event_at
    , CASE
        WHEN procedure_event.endtime > procedure_event.starttime
            THEN procedure_event.endtime
    END AS ends_at
    , GREATEST(procedure_event.starttime, procedure_event.storetime) AS known_at
    , CAST(6 AS UTINYINT) AS event_table
    , procedure_event.source_row
    , CONCAT_WS(
        CHR(31)
        , 'procedureevents'
        , 'itemid' || CHR(31) || NULLIF(TRIM(item.label), '')
        , 'value' || CHR(31)
        || CASE WHEN NOT procedure_event.hides_duration THEN PRINTF('%.15g', ROUND(procedure_event.value, 4)) END
        , 'valueuom' || CHR(31)
        || CASE WHEN NOT procedure_event.hides_duration THEN NULLIF(TRIM(procedure_event.valueuom), '') END
        , 'location' || CHR(31) || NULLIF(TRIM(procedure_event.location), '')
        , 'locationcategory' || CHR(31) || NULLIF(TRIM(procedure_event.locationcategory), '')
        , 'ordercategoryname' || CHR(31) || NULLIF(TRIM(procedure_event.ordercategoryname), '')
        , 'ordercategorydescription' || CHR(31)
        || NULLIF(TRIM(procedure_event.ordercategorydescription), '')
        , 'patientweight' || CHR(31) || PRINTF('%.15g', ROUND(procedure_event.patientweight, 4))
        , 'isopenbag' || CHR(31) || NULLIF(procedure_event.isopenbag, 0)
        , 'originalamount' || CHR(31)
        || CASE WHEN NOT procedure_event.hides_duration THEN PRINTF('%.15g', ROUND(procedure_event.originalamount, 4)) END
        , 'originalrate' || CHR(31) || PRINTF('%.15g', ROUND(procedure_event.originalrate, 4))
    ) AS text
    , CASE
        WHEN
            $selection = 'listed' AND listed.ordercategoryname IS NULL
            THEN '01 order category not used'
        WHEN
            COALESCE(procedure_event.hadm_id, by_time.hadm_id) IS NULL
            THEN '02 no admission named, and begun in none that has films'
        WHEN admission.hadm_id IS NULL THEN '03 admission without the films a sample needs'
        WHEN procedure_event.starttime IS NULL THEN '04 no time'
    END AS drop_reason
FROM (
    SELECT
        *
        , COALESCE($durations_left_out AND endtime > starttime, FALSE) AS hides_duration
    FROM procedureevents
) AS procedure_event
LEFT JOIN procedure_category AS listed
    ON procedure_event.ordercategoryname = listed.ordercategoryname
LEFT JOIN d_items AS item
    ON procedure_event.itemid = item.itemid
LEFT JOIN admission_time AS by_time
    ON
        CASE WHEN procedure_event.hadm_id IS NULL THEN procedure_event.subject_id END = by_time.subject_id
        AND procedure_event.starttime >= by_time.from_at
        AND procedure_event.starttime < by_time.until_at
LEFT JOIN filmed_admission AS admission
    ON COALESCE(procedure_event.hadm_id, by_time.hadm_id) = admission.hadm_id
ORDER BY subject_id, event_at, event_table, source_row
