-- Grain: one row per vasopressor: what one of its units is in mcg of norepinephrine. Units: mcg/kg/min;
-- of vasopressin units/min, whatever the weight.
-- Source: Goradia et al. 2021, Vasopressor dose equivalence (doi 10.1016/j.jcrc.2020.11.002): 0.1
-- mcg/kg/min of norepinephrine is 0.1 of epinephrine, 1 of phenylephrine, 10 of dopamine, 0.01 of
-- angiotensin II, and 0.04 units/min of vasopressin. Names are the transforms of wide_item.sql.
SELECT
    agent
    , CAST(potency AS DOUBLE) AS potency
    , is_in_units
FROM (
    VALUES
    ('norepinephrine', 1.0, FALSE)
    , ('epinephrine', 1.0, FALSE)
    , ('phenylephrine', 0.1, FALSE)
    , ('dopamine', 0.01, FALSE)
    , ('angiotensin', 10.0, FALSE)
    , ('vasopressin', 2.5, TRUE)
) AS listed (agent, potency, is_in_units)
ORDER BY agent
