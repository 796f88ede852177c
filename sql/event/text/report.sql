-- Grain: one row per study of an admission with films, dropped ones with a reason.
-- Its report, as etl/radiology_report.py found it. When it was written is not recorded: it counts as known
-- $report_after_hours after the last film of its study, so that of a target film is in no window
-- that ends with it.
-- Text: the table, then findings and impression, CHR(31) between the parts.
SELECT
    subject_id
    , hadm_id
    , taken_at AS event_at
    , taken_at
    + TO_MICROSECONDS(CAST(ROUND($report_after_hours * 3600000000) AS BIGINT)) AS known_at
    , CAST(16 AS UTINYINT) AS event_table
    , study_id AS source_row
    , CONCAT_WS(CHR(31), 'report', text) AS text
    , CASE
        WHEN problem = 'missing' THEN '01 no file of the report'
        WHEN problem = 'unreadable' THEN '02 file that cannot be read'
        WHEN problem = 'no section' THEN '03 neither findings nor impression'
    END AS drop_reason
FROM report
ORDER BY subject_id, event_at, event_table, source_row
