-- Grain: one row per labevents row: LAB//RESULT//<itemid>//<unit>.
-- Known when stored; one whose storing is not recorded at discharge from the admission it names,
-- else from the one in whose [admittime, dischtime] it was drawn, else at the next midnight.
-- text_value: what the number does not say.
SELECT
    lab.subject_id
    , lab.hadm_id
    , lab.charttime AS event_at
    , GREATEST(
        lab.charttime
        , COALESCE(
            lab.storetime
            , named.dischtime
            , CASE WHEN held.dischtime >= lab.charttime THEN held.dischtime END
            , DATE_TRUNC('day', lab.charttime) + TO_DAYS(1)
        )
    ) AS known_at
    , 'LAB//RESULT//' || COALESCE(CAST(lab.itemid AS VARCHAR), 'UNK')
    || '//' || COALESCE(NULLIF(TRIM(lab.valueuom), ''), 'UNK') AS code
    , TRY_CAST(lab.valuenum AS FLOAT) AS numeric_value
    , CASE
        WHEN lab.valuenum IS NULL OR TRY_CAST(lab.value AS DOUBLE) IS DISTINCT FROM lab.valuenum
            THEN NULLIF(NULLIF(TRIM(lab.value), ''), '___')
    END AS text_value
    , lab.source_row
    , CASE WHEN lab.charttime IS NULL THEN '01 no time' END AS drop_reason
FROM labevents AS lab
LEFT JOIN admissions AS named
    ON lab.hadm_id = named.hadm_id
ASOF LEFT JOIN (
    SELECT
        subject_id
        , admittime
        , MAX(dischtime) AS dischtime
    FROM admissions
    GROUP BY subject_id, admittime
) AS held
    ON lab.subject_id = held.subject_id AND lab.charttime >= held.admittime
ORDER BY subject_id, source_row
