-- Grain: one row per labevents row, dropped ones with a reason.
-- Kept: blood gases and C-reactive protein (specs ehrxdiff 3.2), or every row ($selection). A result
-- whose time of storing is not recorded counts as known at discharge if $results_when_stored, else
-- when it was drawn.
-- Text: the table, then each column that holds something and its value, CHR(31) between the parts;
-- numbers in their shortest form, to 4 decimals.
SELECT
    lab.subject_id
    , COALESCE(lab.hadm_id, by_time.hadm_id) AS hadm_id
    , lab.charttime AS event_at
    , GREATEST(
        lab.charttime
        , lab.storetime
        , CASE
            WHEN $results_when_stored AND lab.storetime IS NULL THEN admission.dischtime
        END
    ) AS known_at
    , CAST(0 AS UTINYINT) AS event_table
    , lab.source_row
    , CONCAT_WS(
        CHR(31)
        , 'labevents'
        , 'itemid' || CHR(31) || NULLIF(TRIM(item.label), '')
        , 'value' || CHR(31) || CASE
            WHEN
                LENGTH(lab.value) > 5
                AND REGEXP_FULL_MATCH(lab.value, '-?[0-9]*\.[0-9]{5,}')
                THEN PRINTF('%.15g', ROUND(CAST(lab.value AS DOUBLE), 4))
            ELSE NULLIF(NULLIF(TRIM(lab.value), ''), '___')
        END
        , 'valuenum' || CHR(31) || CASE
            WHEN TRY_CAST(lab.value AS DOUBLE) IS DISTINCT FROM lab.valuenum
                THEN PRINTF('%.15g', ROUND(lab.valuenum, 4))
        END
        , 'valueuom' || CHR(31) || NULLIF(TRIM(lab.valueuom), '')
        , 'ref_range_lower' || CHR(31) || PRINTF('%.15g', ROUND(lab.ref_range_lower, 4))
        , 'ref_range_upper' || CHR(31) || PRINTF('%.15g', ROUND(lab.ref_range_upper, 4))
        , 'flag' || CHR(31) || NULLIF(TRIM(lab.flag), '')
        , 'priority' || CHR(31) || NULLIF(TRIM(lab.priority), '')
        , 'comments' || CHR(31) || NULLIF(NULLIF(TRIM(lab.comments), ''), '___')
    ) AS text
    , CASE
        WHEN $selection = 'listed' AND item.itemid IS NULL THEN '01 item not used'
        WHEN
            COALESCE(lab.hadm_id, by_time.hadm_id) IS NULL
            THEN '02 no admission named, and drawn in none that has films'
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
        $selection = 'all'
        OR category = 'Blood Gas'
        OR label IN ('C-Reactive Protein', 'High-Sensitivity CRP')
) AS item
    ON lab.itemid = item.itemid
LEFT JOIN admission_time AS by_time
    ON
        CASE WHEN lab.hadm_id IS NULL THEN lab.subject_id END = by_time.subject_id
        AND lab.charttime >= by_time.from_at
        AND lab.charttime < by_time.until_at
LEFT JOIN filmed_admission AS admission
    ON COALESCE(lab.hadm_id, by_time.hadm_id) = admission.hadm_id
ORDER BY subject_id, event_at, event_table, source_row
