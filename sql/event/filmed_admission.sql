-- Grain: one row per hadm_id that films of the patient could belong to.
-- Interval, in whole days, both ends included: two days before admission (a film of the day before
-- the ICU, which may begin a little before its admission) to discharge. Wider than any recipe's
-- own rule: it only spares the event tables work. What names no admission is found in it from
-- begins_at, its admission, on.
SELECT
    admissions.subject_id
    , admissions.hadm_id
    , admissions.admittime AS begins_at
    , admissions.admittime
    , admissions.dischtime
FROM admissions
INNER JOIN cxr_metadata AS film
    ON
        admissions.subject_id = film.subject_id
        AND film.viewposition IN ('AP', 'PA')
        AND CAST(TRY_STRPTIME(CAST(film.studydate AS VARCHAR), '%Y%m%d') AS DATE)
        BETWEEN CAST(admissions.admittime AS DATE) - 2 AND CAST(admissions.dischtime AS DATE)
GROUP BY
    admissions.subject_id
    , admissions.hadm_id
    , admissions.admittime
    , admissions.dischtime
HAVING COUNT(*) >= $minimum_films
ORDER BY hadm_id
