-- Grain: one row per phenotype: stays that have it by the benchmark's lists, by full CCS, by both
-- and by one alone.
SELECT
    category.phenotype
    , COUNT(benchmark.hadm_id) AS benchmark
    , COUNT(ccs.hadm_id) AS full_ccs
    , COUNT(*) FILTER (WHERE benchmark.hadm_id IS NOT NULL AND ccs.hadm_id IS NOT NULL) AS both
    , COUNT(*) FILTER (WHERE benchmark.hadm_id IS NOT NULL AND ccs.hadm_id IS NULL)
        AS only_benchmark
    , COUNT(*) FILTER (WHERE benchmark.hadm_id IS NULL AND ccs.hadm_id IS NOT NULL)
        AS only_full_ccs
FROM ccs_phenotype AS category
CROSS JOIN kept_stay AS stay
LEFT JOIN by_benchmark AS benchmark
    ON category.phenotype = benchmark.phenotype AND stay.hadm_id = benchmark.hadm_id
LEFT JOIN by_full_ccs AS ccs
    ON category.phenotype = ccs.phenotype AND stay.hadm_id = ccs.hadm_id
GROUP BY category.phenotype
ORDER BY phenotype
