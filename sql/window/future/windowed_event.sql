-- Grain: one row per (window_number, event of the window), dropped ones with a reason.
-- Window: [window_start_at, window_end_at). What decides is known_at, or event_at if $availability is
-- 'event'. A moment (no ends_at) belongs from the start on; what runs belongs too if it began before
-- the start and ends after it.
-- Of more than $maximum_events the oldest moments go first: what still runs at the window's end
-- stays before all others, the rest by when it happened or stopped; of equals those that began later,
-- then those of later tables, then later rows.
SELECT
    *
    , CASE
        WHEN newer_events >= $maximum_events THEN '01 older than the last events a window holds'
    END AS drop_reason
FROM (
    SELECT
        sample_window.window_number
        , event.event_at
        , event.ends_at
        , event.known_at
        , event.event_table
        , event.source_row
        , event.text_id
        , ROW_NUMBER() OVER (
            PARTITION BY sample_window.window_number
            ORDER BY
                LEAST(
                    COALESCE(event.ends_at, event.event_at), sample_window.window_end_at
                ) DESC
                , event.event_at DESC
                , event.event_table DESC
                , event.source_row DESC
        )
        - 1 AS newer_events
    FROM sample_window
    INNER JOIN window_admission AS admission
        ON sample_window.window_number = admission.window_number
    INNER JOIN event
        ON
            admission.hadm_id = event.hadm_id
            AND CASE WHEN $availability = 'known' THEN event.known_at ELSE event.event_at END
            < sample_window.window_end_at
            AND GREATEST(
                CASE WHEN $availability = 'known' THEN event.known_at ELSE event.event_at END
                , event.ends_at - TO_MICROSECONDS(1)
            )
            >= sample_window.window_start_at
) AS ranked
ORDER BY window_number, newer_events
