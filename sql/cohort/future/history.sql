-- Grain: one row per (kind, key) of a kept pair or stay: what was known of its patient as_of, when a
-- pair's window begins or a stay's ends.
-- bmi: kg/m2, of outpatient records, the latest; of
-- two of one day the larger seq_num. A record has only a date, so it is known at its end. Comorbidities
-- are of diagnoses of earlier admissions of the patient, which are coded by their discharge.
SELECT
    sample.kind
    , sample.key
    , body.bmi
    , CAST(COALESCE(coded.admissions, 0) AS BIGINT) AS earlier_admissions
    , COALESCE(coded.comorbidities, CAST([] AS VARCHAR [])) AS comorbidities
FROM sample_as_of AS sample
LEFT JOIN (
    SELECT
        sample_as_of.kind
        , sample_as_of.key
        , MAX_BY(omr.bmi, (omr.known_at, omr.seq_num, omr.source_row)) AS bmi
    FROM sample_as_of
    INNER JOIN (
        SELECT
            subject_id
            , CAST(chartdate + 1 AS TIMESTAMP) AS known_at
            , seq_num
            , source_row
            , TRY_CAST(result_value AS DOUBLE) AS bmi
        FROM omr
        WHERE
            result_name = 'BMI (kg/m2)'
            AND TRY_CAST(result_value AS DOUBLE) BETWEEN 10 AND 100
    ) AS omr
        ON sample_as_of.subject_id = omr.subject_id AND sample_as_of.as_of >= omr.known_at
    GROUP BY
        sample_as_of.kind
        , sample_as_of.key
) AS body
    ON sample.kind = body.kind AND sample.key = body.key
LEFT JOIN (
    SELECT
        sample_as_of.kind
        , sample_as_of.key
        , COUNT(DISTINCT earlier.hadm_id) AS admissions
        , LIST_SORT(LIST_DISTINCT(FLATTEN(LIST(earlier.comorbidities)))) AS comorbidities
    FROM sample_as_of
    INNER JOIN (
        SELECT
            admissions.subject_id
            , admissions.hadm_id
            , admissions.dischtime
            , LIST(DISTINCT charlson.comorbidity)
                FILTER (WHERE charlson.comorbidity IS NOT NULL)
                AS comorbidities
        FROM admissions
        INNER JOIN diagnoses_icd AS diagnosis
            ON admissions.hadm_id = diagnosis.hadm_id
        LEFT JOIN coded_comorbidity AS charlson
            ON
                diagnosis.icd_version = charlson.icd_version
                AND diagnosis.icd_code = charlson.icd_code
        GROUP BY
            admissions.subject_id
            , admissions.hadm_id
            , admissions.dischtime
    ) AS earlier
        ON
            sample_as_of.subject_id = earlier.subject_id
            AND sample_as_of.hadm_id <> earlier.hadm_id
            AND sample_as_of.as_of >= earlier.dischtime
    GROUP BY
        sample_as_of.kind
        , sample_as_of.key
) AS coded
    ON sample.kind = coded.kind AND sample.key = coded.key
ORDER BY kind, key
