-- Grain: one row per admission that ends in death by its flag, without a time of death.
SELECT hadm_id
FROM admissions
WHERE
    hospital_expire_flag = 1
    AND deathtime IS NULL
ORDER BY hadm_id
