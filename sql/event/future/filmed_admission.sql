-- Grain: one row per hadm_id with $minimum_films frontal films or more on its days.
-- begins_at: arrival in the emergency department where that is before admission, else admission.
-- Interval of films, in whole days, both ends included: begins_at to discharge. Wider than the rule
-- of films itself (cohort/future/admission_film.sql): it only spares the event tables work.
SELECT
    admission.subject_id
    , admission.hadm_id
    , admission.begins_at
    , admission.admittime
    , admission.dischtime
FROM (
    SELECT
        subject_id
        , hadm_id
        , LEAST(admittime, edregtime) AS begins_at
        , admittime
        , dischtime
    FROM admissions
    WHERE admittime < dischtime
) AS admission
LEFT JOIN cxr_metadata AS film
    ON
        admission.subject_id = film.subject_id
        AND COALESCE(film.viewposition, '') NOT IN ('LATERAL', 'LL')
        AND CAST(TRY_STRPTIME(CAST(film.studydate AS VARCHAR), '%Y%m%d') AS DATE)
        BETWEEN CAST(admission.begins_at AS DATE) AND CAST(admission.dischtime AS DATE)
GROUP BY
    admission.subject_id
    , admission.hadm_id
    , admission.begins_at
    , admission.admittime
    , admission.dischtime
HAVING COUNT(film.dicom_id) >= $minimum_films
ORDER BY hadm_id
