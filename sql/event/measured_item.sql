-- Grain: one row per (source, itemid) of variable_item, with the plausible range of its variable.
SELECT
    CAST(item.itemid AS BIGINT) AS itemid
    , CAST(item.source AS measurement_source) AS source
    , CAST(item.variable AS contract_variable) AS variable
    , item.transform
    , plausible_range.low
    , plausible_range.high
FROM variable_item AS item
LEFT JOIN plausible_range
    ON item.variable = plausible_range.variable
ORDER BY source, itemid
