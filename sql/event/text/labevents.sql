-- Grain: one row per labevents row, dropped ones with a reason.
-- Kept: blood gases and C-reactive protein (specs ehrxdiff 3.2).
-- Text: the table, then each column that holds something and its value, blank-separated; numbers
-- in their shortest form, to 4 decimals.
SELECT
    lab.subject_id
    , lab.hadm_id
    , lab.charttime AS event_at
    , GREATEST(lab.charttime, lab.storetime) AS known_at
    , CAST(0 AS UTINYINT) AS event_table
    , lab.source_row
    , CONCAT_WS(
        ' '
        , 'labevents'
        , 'itemid ' || NULLIF(TRIM(item.label), '')
        , 'value ' || CASE
            WHEN
                LENGTH(lab.value) > 5
                AND REGEXP_FULL_MATCH(lab.value, '-?[0-9]*\.[0-9]{5,}')
                THEN PRINTF('%.15g', ROUND(CAST(lab.value AS DOUBLE), 4))
            ELSE NULLIF(TRIM(lab.value), '')
        END
        , 'valuenum ' || PRINTF('%.15g', ROUND(lab.valuenum, 4))
        , 'valueuom ' || NULLIF(TRIM(lab.valueuom), '')
        , 'ref_range_lower ' || PRINTF('%.15g', ROUND(lab.ref_range_lower, 4))
        , 'ref_range_upper ' || PRINTF('%.15g', ROUND(lab.ref_range_upper, 4))
        , 'flag ' || NULLIF(TRIM(lab.flag), '')
        , 'priority ' || NULLIF(TRIM(lab.priority), '')
        , 'comments ' || NULLIF(TRIM(lab.comments), '')
    ) AS text
    , CASE
        WHEN item.itemid IS NULL THEN '01 item not used'
        WHEN lab.hadm_id IS NULL THEN '02 no admission named'
        WHEN admission.hadm_id IS NULL THEN '03 admission without the films a sample needs'
        WHEN lab.charttime IS NULL THEN '04 no time'
    END AS drop_reason
FROM labevents AS lab
LEFT JOIN (
    SELECT
        itemid
        , label
    FROM d_labitems
    WHERE
        category = 'Blood Gas'
        OR label IN ('C-Reactive Protein', 'High-Sensitivity CRP')
) AS item
    ON lab.itemid = item.itemid
LEFT JOIN filmed_admission AS admission
    ON lab.hadm_id = admission.hadm_id
ORDER BY subject_id, event_at, event_table, source_row
