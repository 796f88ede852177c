-- Grain: one row per (stay_id, charttime) at which eye opening, motor or verbal response was charted
-- in a stay that a sample may need. Points are those of the Glasgow coma scale; the verbal response
-- of an intubated patient (No Response-ETT) has none. Of several charted at one time the best counts.
SELECT
    stay.subject_id
    , stay.hadm_id
    , stay.stay_id
    , chart.charttime
    , MAX(chart.storetime) AS storetime
    , MAX(scale.points) FILTER (WHERE scale.itemid = 220739) AS eye
    , MAX(scale.points) FILTER (WHERE scale.itemid = 223901) AS motor
    , MAX(scale.points) FILTER (WHERE scale.itemid = 223900) AS verbal
    , COUNT(*) FILTER (WHERE chart.value = 'No Response-ETT') > 0 AS is_intubated
    , MIN(chart.source_row) AS source_row
FROM chartevents AS chart
INNER JOIN measured_stay AS stay
    ON chart.stay_id = stay.stay_id
LEFT JOIN (
    VALUES
    (220739, 'None', 1)
    , (220739, 'To Pain', 2)
    , (220739, 'To Speech', 3)
    , (220739, 'Spontaneously', 4)
    , (223900, 'No Response', 1)
    , (223900, 'Incomprehensible sounds', 2)
    , (223900, 'Inappropriate Words', 3)
    , (223900, 'Confused', 4)
    , (223900, 'Oriented', 5)
    , (223901, 'No response', 1)
    , (223901, 'Abnormal extension', 2)
    , (223901, 'Abnormal Flexion', 3)
    , (223901, 'Flex-withdraws', 4)
    , (223901, 'Localizes Pain', 5)
    , (223901, 'Obeys Commands', 6)
) AS scale (itemid, charted, points)
    ON chart.itemid = scale.itemid AND chart.value = scale.charted
WHERE chart.itemid IN (220739, 223900, 223901) AND $gcs_total_and_refill
GROUP BY
    stay.subject_id
    , stay.hadm_id
    , stay.stay_id
    , chart.charttime
ORDER BY stay_id, charttime
