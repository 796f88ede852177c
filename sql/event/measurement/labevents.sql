-- Grain: one row per labevents row, dropped ones with a reason.
-- With $labs_by_time a laboratory result belongs to an admission, not to an ICU stay: stay_id is
-- null; one that names no admission belongs to the one it was drawn in (lab_admission.sql). Without,
-- as the authors' code has it (specs ddl-cxr 2.4): it is given the stay of the admission it names,
-- and is lost without one. Numbers are read as in chartevents.sql.
SELECT
    converted.subject_id
    , converted.hadm_id
    , CASE WHEN NOT $labs_by_time THEN converted.measured_stay_id END AS stay_id
    , converted.charttime AS event_at
    , GREATEST(converted.charttime, converted.storetime) AS known_at
    , converted.variable
    , converted.measured AS value
    , CAST(NULL AS VARCHAR) AS charted
    , CAST('labevents' AS measurement_source) AS source
    , converted.source_row
    , CASE
        WHEN converted.variable IS NULL THEN '01 item not used'
        WHEN
            converted.named_hadm_id IS NULL
            THEN '02 no admission named, and drawn in none that has films'
        WHEN
            converted.measured_stay_id IS NULL
            THEN '03 admission without the stay and films a sample needs'
        WHEN converted.charttime IS NULL THEN '04 no time'
        WHEN converted.measured IS NULL THEN '05 no number'
        WHEN
            $plausible_range
            AND (converted.measured BETWEEN converted.low AND converted.high) IS FALSE
            THEN '06 outside the plausible range'
    END AS drop_reason
FROM (
    SELECT
        read.subject_id
        , read.named_hadm_id
        , read.hadm_id
        , read.measured_stay_id
        , read.charttime
        , read.storetime
        , read.source_row
        , read.variable
        , read.low
        , read.high
        , CASE
            WHEN NOT ISFINITE(read.number) THEN NULL
            WHEN read.transform = 'percent' AND read.number <= 1 THEN read.number * 100
            ELSE read.number
        END AS measured
    FROM (
        SELECT
            lab.subject_id
            , COALESCE(lab.hadm_id, drawn_in.hadm_id) AS named_hadm_id
            , stay.hadm_id
            , stay.stay_id AS measured_stay_id
            , lab.charttime
            , lab.storetime
            , lab.source_row
            , item.variable
            , item.transform
            , item.low
            , item.high
            , CASE
                WHEN $numbers_from_valuenum THEN lab.valuenum
                WHEN
                    REGEXP_FULL_MATCH(lab.value, '[0-9]+(\.[0-9]*)?|\.[0-9]+')
                    THEN TRY_CAST(lab.value AS DOUBLE)
            END AS number
        FROM labevents AS lab
        LEFT JOIN measured_item AS item
            ON lab.itemid = item.itemid AND item.source = 'labevents'
        LEFT JOIN lab_admission AS drawn_in
            ON lab.source_row = drawn_in.source_row
        LEFT JOIN measured_stay AS stay
            ON COALESCE(lab.hadm_id, drawn_in.hadm_id) = stay.hadm_id
    ) AS read
) AS converted
ORDER BY subject_id, event_at, source, source_row
