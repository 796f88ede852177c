-- Grain: one row per phenotype: stays that have it by the benchmark's lists, by full CCS, by both
-- and by one alone.
SELECT
    category.phenotype
    , COUNT(benchmark.stay_id) AS benchmark
    , COUNT(ccs.stay_id) AS full_ccs
    , COUNT(*) FILTER (WHERE benchmark.stay_id IS NOT NULL AND ccs.stay_id IS NOT NULL) AS both
    , COUNT(*) FILTER (WHERE benchmark.stay_id IS NOT NULL AND ccs.stay_id IS NULL)
        AS only_benchmark
    , COUNT(*) FILTER (WHERE benchmark.stay_id IS NULL AND ccs.stay_id IS NOT NULL)
        AS only_full_ccs
FROM ccs_phenotype AS category
CROSS JOIN kept_stay AS stay
LEFT JOIN by_benchmark AS benchmark
    ON category.phenotype = benchmark.phenotype AND stay.stay_id = benchmark.stay_id
LEFT JOIN by_full_ccs AS ccs
    ON category.phenotype = ccs.phenotype AND stay.stay_id = ccs.stay_id
GROUP BY category.phenotype
ORDER BY phenotype
