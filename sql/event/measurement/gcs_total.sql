-- Grain: one row per time at which a part of the coma scale was charted, dropped ones with a reason.
-- The total is the sum of the three responses charted at one time.
SELECT
    component.subject_id
    , component.hadm_id
    , component.stay_id
    , component.charttime AS event_at
    , GREATEST(component.charttime, component.storetime) AS known_at
    , CAST('GCS total' AS contract_variable) AS variable
    , CAST(charted_category.position AS DOUBLE) AS value
    , CAST(NULL AS VARCHAR) AS charted
    , CAST('gcs_total' AS measurement_source) AS source
    , component.source_row
    , CASE
        WHEN component.charttime IS NULL THEN '01 no time'
        WHEN
            component.verbal IS NULL AND component.is_intubated
            THEN '02 intubated: the verbal response has no points'
        WHEN charted_category.position IS NULL THEN '03 a response is not charted at this time'
    END AS drop_reason
FROM gcs_component AS component
LEFT JOIN charted_category
    ON
        charted_category.variable = 'GCS total'
        AND CAST(component.eye + component.motor + component.verbal AS VARCHAR)
        = charted_category.charted
ORDER BY subject_id, event_at, source, source_row
