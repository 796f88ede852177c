-- Grain: one row per labevents row, dropped ones with a reason.
-- Laboratory results belong to an admission, not to an ICU stay: stay_id is null. Those that name
-- no admission belong to the one they were drawn in (lab_admission.sql). Numbers come from
-- valuenum, also where the text is blanked out; a saturation of 1 or less is a fraction -> %.
SELECT
    lab.subject_id
    , admission.hadm_id
    , CAST(NULL AS BIGINT) AS stay_id
    , lab.charttime AS event_at
    , GREATEST(lab.charttime, lab.storetime) AS known_at
    , item.variable
    , CAST(
        CASE
            WHEN item.transform = 'percent' AND lab.valuenum <= 1 THEN lab.valuenum * 100
            ELSE lab.valuenum
        END AS FLOAT
    ) AS value
    , 'labevents' AS source
    , lab.source_row
    , CASE
        WHEN item.itemid IS NULL THEN '01 item not used'
        WHEN
            lab.hadm_id IS NULL AND drawn_in.hadm_id IS NULL
            THEN '02 no admission named, and drawn in none that has films'
        WHEN admission.hadm_id IS NULL THEN '03 admission without the films a sample needs'
        WHEN lab.charttime IS NULL THEN '04 no time'
        WHEN lab.valuenum IS NULL OR NOT ISFINITE(lab.valuenum) THEN '05 no number'
    END AS drop_reason
FROM labevents AS lab
LEFT JOIN variable_item AS item
    ON lab.itemid = item.itemid AND item.source = 'labevents'
LEFT JOIN lab_admission AS drawn_in
    ON lab.source_row = drawn_in.source_row
LEFT JOIN filmed_admission AS admission
    ON COALESCE(lab.hadm_id, drawn_in.hadm_id) = admission.hadm_id
ORDER BY subject_id, event_at, source, source_row
