-- Grain: one row per stay of the benchmark whose measurements a sample may need.
-- Interval of films, in whole days, both ends included: two days before ICU admission to two days
-- after discharge; wider than any recipe's own rule: it only spares the event tables work.
-- $minimum_films is 0 where stays without a film are samples too.
SELECT
    stay.subject_id
    , stay.hadm_id
    , stay.stay_id
    , stay.admittime
    , stay.dischtime
FROM all_stay AS stay
LEFT JOIN cxr_metadata AS film
    ON
        stay.subject_id = film.subject_id
        AND film.viewposition IN ('AP', 'PA')
        AND CAST(TRY_STRPTIME(CAST(film.studydate AS VARCHAR), '%Y%m%d') AS DATE)
        BETWEEN CAST(stay.intime AS DATE) - 2
        AND CAST(COALESCE(stay.outtime, stay.dischtime) AS DATE) + 2
WHERE stay.drop_reason IS NULL
GROUP BY
    stay.subject_id
    , stay.hadm_id
    , stay.stay_id
    , stay.admittime
    , stay.dischtime
HAVING COUNT(film.dicom_id) >= $minimum_films
ORDER BY stay_id
