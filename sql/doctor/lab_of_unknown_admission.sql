-- Grain: one row per laboratory result of an admission that is not in admissions.
SELECT labevent_id
FROM labevents
WHERE hadm_id NOT IN (SELECT admissions.hadm_id FROM admissions)
ORDER BY labevent_id
