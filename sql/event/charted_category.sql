-- Grain: one row per (variable, charted text) of the categorical variables.
-- Every category of the contract is charted under its own name; capillary refill has others, of
-- MIMIC-III and MIMIC-IV, for its two categories.
SELECT
    contract_category.variable
    , COALESCE(refill.charted, contract_category.category) AS charted
    , contract_category.position
FROM contract_category
LEFT JOIN (
    VALUES
    ('0.0', '0.0')
    , ('0.0', 'Normal <3 secs')
    , ('0.0', 'Normal <3 Seconds')
    , ('0.0', 'Brisk')
    , ('1.0', '1.0')
    , ('1.0', 'Abnormal >3 secs')
    , ('1.0', 'Abnormal >3 Seconds')
    , ('1.0', 'Delayed')
) AS refill (category, charted)
    ON
        contract_category.variable = 'Capillary refill rate'
        AND contract_category.category = refill.category
ORDER BY variable, charted
