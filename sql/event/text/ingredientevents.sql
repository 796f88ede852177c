-- Grain: one row per ingredientevents row, dropped ones with a reason.
-- Kept: every row.
-- What runs for more than a minute shows its rate and no amount: how much of the bag it gives is
-- known at its end. Nor is statusdescription, which says how it ended.
-- Text: the table, then each column that holds something and its value, CHR(31) between the parts;
-- numbers in their shortest form, to 4 decimals.
SELECT
    ingredient.subject_id
    , COALESCE(ingredient.hadm_id, by_time.hadm_id) AS hadm_id
    , ingredient.starttime AS event_at
    , CASE WHEN ingredient.endtime > ingredient.starttime THEN ingredient.endtime END AS ends_at
    , GREATEST(ingredient.starttime, ingredient.storetime) AS known_at
    , CAST(8 AS UTINYINT) AS event_table
    , ingredient.source_row
    , CONCAT_WS(
        CHR(31)
        , 'ingredientevents'
        , 'itemid' || CHR(31) || NULLIF(TRIM(item.label), '')
        , 'amount' || CHR(31)
        || CASE
            WHEN NOT ingredient.hides_amount THEN PRINTF('%.15g', ROUND(ingredient.amount, 4))
        END
        , 'amountuom' || CHR(31)
        || CASE
            WHEN NOT ingredient.hides_amount THEN NULLIF(TRIM(ingredient.amountuom), '')
        END
        , 'rate' || CHR(31) || PRINTF('%.15g', ROUND(ingredient.rate, 4))
        , 'rateuom' || CHR(31) || NULLIF(TRIM(ingredient.rateuom), '')
        , 'originalrate' || CHR(31) || PRINTF('%.15g', ROUND(ingredient.originalrate, 4))
    ) AS text
    , CASE
        WHEN
            COALESCE(ingredient.hadm_id, by_time.hadm_id) IS NULL
            THEN '01 no admission named, and begun in none that has films'
        WHEN admission.hadm_id IS NULL THEN '02 admission without the films a sample needs'
        WHEN ingredient.starttime IS NULL THEN '03 no time'
    END AS drop_reason
FROM (
    SELECT
        *
        , COALESCE($amounts_left_out AND endtime > starttime + TO_MINUTES(1), FALSE) AS hides_amount
    FROM ingredientevents
) AS ingredient
LEFT JOIN d_items AS item
    ON ingredient.itemid = item.itemid
LEFT JOIN admission_time AS by_time
    ON
        CASE WHEN ingredient.hadm_id IS NULL THEN ingredient.subject_id END = by_time.subject_id
        AND ingredient.starttime >= by_time.from_at
        AND ingredient.starttime < by_time.until_at
LEFT JOIN filmed_admission AS admission
    ON COALESCE(ingredient.hadm_id, by_time.hadm_id) = admission.hadm_id
ORDER BY subject_id, event_at, event_table, source_row
