-- Grain: one row per labevents row that needed/labevents.sql keeps, dropped ones with a reason.
-- Transforms: arterial: only of a specimen that the laboratory calls arterial, and known when both
-- rows were; number: as reported. Numbers are valuenum: "<0.01" and the like have none.
-- A result without storetime was known at discharge.
SELECT
    subject_id
    , hadm_id
    , event_at
    , CAST(NULL AS TIMESTAMP) AS ends_at
    , known_at
    , variable
    , value
    , CAST('labevents' AS measurement_source) AS source
    , source_row
    , CASE
        WHEN event_at IS NULL THEN '01 no time'
        WHEN value IS NULL OR NOT ISFINITE(value) THEN '02 no number'
        WHEN NOT is_specimen THEN '03 not of arterial blood, or not known to be'
        WHEN value NOT BETWEEN low AND high THEN '04 outside the plausible range'
    END AS drop_reason
FROM (
    SELECT
        admission.subject_id
        , admission.hadm_id
        , lab.charttime AS event_at
        , GREATEST(
            lab.charttime
            , COALESCE(lab.storetime, admission.dischtime)
            , CASE
                WHEN item.transform = 'arterial'
                    THEN COALESCE(arterial_specimen.known_at, admission.dischtime)
            END
        ) AS known_at
        , item.variable
        , lab.valuenum AS value
        , lab.source_row
        , item.transform <> 'arterial'
        OR arterial_specimen.specimen_id IS NOT NULL AS is_specimen
        , rule.low
        , rule.high
    FROM labevents AS lab
    INNER JOIN wide_item AS item
        ON lab.itemid = item.itemid AND item.source = 'labevents'
    INNER JOIN wide_variable AS rule
        ON item.variable = rule.variable
    LEFT JOIN lab_admission AS drawn_in
        ON lab.source_row = drawn_in.source_row
    INNER JOIN filmed_admission AS admission
        ON COALESCE(lab.hadm_id, drawn_in.hadm_id) = admission.hadm_id
    LEFT JOIN arterial_specimen
        ON
            item.transform = 'arterial'
            AND lab.specimen_id = arterial_specimen.specimen_id
) AS converted
ORDER BY hadm_id, event_at, source, source_row
