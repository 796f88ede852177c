-- Grain: one row per laboratory result that names no admission.
SELECT labevent_id
FROM labevents
WHERE hadm_id IS NULL
ORDER BY labevent_id
