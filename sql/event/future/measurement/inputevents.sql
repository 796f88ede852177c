-- Grain: one row per inputevents row that needed/inputevents.sql keeps, dropped ones with a reason.
-- Interval of what runs: [starttime, endtime). volume: mL/h while it runs. What has no rate and no more
-- than a minute is a moment, of its amount in mL; longer, it went in evenly. An agent of pressor.sql:
-- its rate in mcg/kg/min of norepinephrine; a rate not per kg is divided by patientweight (20 to 500
-- kg), and in mg/kg/min at a patientweight of 1 it is in mcg/kg/min, charted wrongly. A dose without a
-- rate has none. ingredientevents is not read: it has the same volumes again, as water.
-- A row without storetime was known when it began.
SELECT
    subject_id
    , hadm_id
    , event_at
    , CASE WHEN is_moment THEN NULL ELSE ends_at END AS ends_at
    , known_at
    , variable
    , value
    , CAST('inputevents' AS measurement_source) AS source
    , source_row
    , CASE
        WHEN is_rewritten THEN '01 rewritten: another row stands for it'
        WHEN event_at IS NULL THEN '02 no time'
        WHEN ends_at < event_at THEN '03 ends before it begins'
        WHEN is_elsewhere THEN '04 given before the ICU, over unknown hours'
        WHEN
            has_other_unit OR (transform <> 'volume' AND has_rate AND per_minute IS NULL)
            THEN '05 unit not known for this item'
        WHEN transform <> 'volume' AND is_moment THEN '06 a dose without a rate that runs'
        WHEN
            transform <> 'volume' AND NOT is_per_kg AND NOT is_in_units
            AND (patientweight BETWEEN 20 AND 500) IS NOT TRUE
            THEN '07 a rate not per kg, and no plausible weight'
        WHEN value IS NULL OR NOT ISFINITE(value) THEN '08 no number'
        WHEN value NOT BETWEEN low AND high THEN '09 outside the plausible range'
    END AS drop_reason
FROM (
    SELECT
        *
        , CASE
            WHEN transform = 'volume' AND is_moment THEN amount * per_ml
            WHEN transform = 'volume' AND LOWER(rateuom) IN ('ml/hour', 'ml/hr') THEN rate
            WHEN transform = 'volume'
                THEN
                    amount * per_ml * 3600000000.0
                    / NULLIF(DATE_DIFF('microsecond', event_at, ends_at), 0)
            WHEN LOWER(rateuom) = 'mg/kg/min' AND patientweight = 1 THEN rate * potency
            WHEN is_per_kg OR is_in_units THEN rate * per_minute * potency
            ELSE rate * per_minute * potency / NULLIF(patientweight, 0)
        END AS value
    FROM (
        SELECT
            admission.subject_id
            , admission.hadm_id
            , input.starttime AS event_at
            , input.endtime AS ends_at
            , GREATEST(input.starttime, input.storetime) AS known_at
            , item.variable
            , item.transform
            , input.source_row
            , input.amount
            , input.rate
            , input.rateuom
            , input.patientweight
            , rule.low
            , rule.high
            , unit.per_minute
            , unit.is_per_kg
            , unit.is_in_units
            , pressor.potency
            , CASE LOWER(input.amountuom) WHEN 'ml' THEN 1.0 WHEN 'l' THEN 1000.0 END AS per_ml
            , item.transform = 'volume' AND per_ml IS NULL AS has_other_unit
            , input.rate IS NOT NULL AS has_rate
            , input.statusdescription IS NOT DISTINCT FROM 'Rewritten' AS is_rewritten
            , COALESCE(STARTS_WITH(input.ordercategoryname, '16-Pre'), FALSE) AS is_elsewhere
            , COALESCE(
                input.endtime <= input.starttime
                OR (
                    input.rate IS NULL
                    AND (
                        item.transform <> 'volume'
                        OR input.endtime <= input.starttime + INTERVAL 1 MINUTE
                    )
                )
                , TRUE
            ) AS is_moment
        FROM inputevents AS input
        INNER JOIN wide_item AS item
            ON input.itemid = item.itemid AND item.source = 'inputevents'
        INNER JOIN wide_variable AS rule
            ON item.variable = rule.variable
        INNER JOIN filmed_admission AS admission
            ON input.hadm_id = admission.hadm_id
        LEFT JOIN pressor
            ON item.transform = pressor.agent
        LEFT JOIN rate_unit AS unit
            ON
                LOWER(input.rateuom) = unit.rateuom
                AND pressor.is_in_units = unit.is_in_units
    ) AS read
) AS converted
ORDER BY hadm_id, event_at, source, source_row
