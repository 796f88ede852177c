-- Grain: one row per (event_table, itemid) that has a label.
-- The dictionary of laboratory items for labevents (0), that of ICU items for the ICU's tables.
SELECT
    CAST(0 AS UTINYINT) AS event_table
    , CAST(itemid AS VARCHAR) AS itemid
    , label
FROM d_labitems
WHERE label IS NOT NULL
UNION ALL
SELECT
    icu.event_table
    , CAST(d_items.itemid AS VARCHAR) AS itemid
    , d_items.label
FROM d_items
CROSS JOIN (
    VALUES
    (CAST(2 AS UTINYINT))
    , (CAST(3 AS UTINYINT))
    , (CAST(4 AS UTINYINT))
    , (CAST(6 AS UTINYINT))
) AS icu (event_table)
WHERE d_items.label IS NOT NULL
ORDER BY event_table, itemid
