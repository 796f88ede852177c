-- Grain: one row per (window_number, event in the window), dropped ones with a reason.
-- Window: [window_start_at, window_end_at], its end only if $includes_end. The last $maximum_events
-- stay, in the order of time, table and row in the source: of events at the cut's own time those of
-- later tables, then later rows. (The authors' order of such ties is arbitrary.)
SELECT
    *
    , CASE
        WHEN newer_events >= $maximum_events THEN '01 older than the last events a window holds'
    END AS drop_reason
FROM (
    SELECT
        sample_window.window_number
        , event.event_at
        , event.known_at
        , event.event_table
        , event.source_row
        , event.text_id
        , ROW_NUMBER() OVER (
            PARTITION BY sample_window.window_number
            ORDER BY event.event_at DESC, event.event_table DESC, event.source_row DESC
        )
        - 1 AS newer_events
    FROM sample_window
    INNER JOIN window_admission AS admission
        ON sample_window.window_number = admission.window_number
    INNER JOIN event
        ON
            admission.hadm_id = event.hadm_id
            AND event.event_at >= sample_window.window_start_at
            AND CASE
                WHEN $availability = 'known' THEN event.known_at
                ELSE event.event_at
            END <= sample_window.window_end_at
            AND (
                $includes_end
                OR CASE
                    WHEN $availability = 'known' THEN event.known_at
                    ELSE event.event_at
                END < sample_window.window_end_at
            )
) AS ranked
ORDER BY window_number, newer_events
