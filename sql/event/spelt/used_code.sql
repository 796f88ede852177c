-- Grain: one row per (event_table, code) that EHRXDiff keeps (specs ehrxdiff 3.2).
-- A code is what decides whether a row is used: an itemid, a drug, a specimen or an order category.
-- Codes are compared as strings, so a drug's blanks count. Tables without a code keep every row.
SELECT
    CAST(0 AS UTINYINT) AS event_table
    , CAST(itemid AS VARCHAR) AS code
FROM d_labitems
WHERE
    category = 'Blood Gas'
    OR label IN ('C-Reactive Protein', 'High-Sensitivity CRP')
UNION ALL
SELECT
    CAST(1 AS UTINYINT) AS event_table
    , drug AS code
FROM drug
UNION ALL
SELECT
    CAST(3 AS UTINYINT) AS event_table
    , CAST(d_items.itemid AS VARCHAR) AS code
FROM d_items
INNER JOIN chart_category
    ON d_items.category = chart_category.category
WHERE d_items.linksto = 'chartevents'
UNION ALL
SELECT
    CAST(5 AS UTINYINT) AS event_table
    , spec_type_desc AS code
FROM specimen
UNION ALL
SELECT
    CAST(6 AS UTINYINT) AS event_table
    , ordercategoryname AS code
FROM procedure_category
ORDER BY event_table, code
