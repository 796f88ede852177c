-- Grain: one row per row of one source table as text ($event_table), dropped ones with a reason.
-- Text: the table, then name and value of each of its columns that holds something, as the file
-- spells them, CHR(31) between the parts; an item's label stands for its itemid, and numbers with a
-- dot are rounded to 4 decimals (specs ehrxdiff 3.4, step 1).
-- ROUND_NUMBERS is Python's (etl/event_text.py). It is asked where a number may change: without
-- digits before the dot or with a leading zero there, with five digits or a zero at the end after
-- it, of ten digits and more, after another dot, or spelt in digits that are not ASCII.
SELECT
    named.subject_id
    , named.hadm_id
    , named.event_at
    , GREATEST(named.event_at, named.stored_at) AS known_at
    , CAST($event_table AS UTINYINT) AS event_table
    , named.source_row
    , CASE
        WHEN
            REGEXP_MATCHES(
                named.text
                , '(^|[^0-9])0[0-9]+\.[0-9]|(^|[^0-9])\.[0-9]|\.[0-9]{5}|\.[0-9]+0([^0-9]|$)'
                || '|[0-9]{10}\.|\.[0-9]+\.[0-9]|[^\x00-\x7f]'
            )
            THEN ROUND_NUMBERS(named.text)
        ELSE named.text
    END AS text
    , named.drop_reason
FROM (
    SELECT
        TRY_CAST(cell.subject_id AS BIGINT) AS subject_id
        , admission.hadm_id
        , cell.source_row
        , CASE
            WHEN $event_time_with_fraction THEN TRY_CAST(cell.event_at AS TIMESTAMP)
            ELSE DATE_TRUNC('second', TRY_CAST(cell.event_at AS TIMESTAMP))
        END AS event_at
        , TRY_CAST(cell.stored_at AS TIMESTAMP) AS stored_at
        , CONCAT_WS(
            CHR(31)
            , $table
            , ARRAY_TO_STRING(
                LIST_TRANSFORM(
                    cell.cells
                    , LAMBDA value, place:
                        STRING_SPLIT($columns, CHR(31))[place] || CHR(31)
                        || CASE WHEN place = $item_place THEN item.label ELSE value END
                )
                , CHR(31)
            )
        ) AS text
        , CASE
            WHEN $has_code AND used.code IS NULL THEN '01 item not used'
            WHEN cell.hadm_id IS NULL THEN '02 no admission named'
            WHEN admission.hadm_id IS NULL THEN '03 admission without the films a sample needs'
            WHEN TRY_CAST(cell.event_at AS TIMESTAMP) IS NULL THEN '04 no time'
        END AS drop_reason
    FROM cell
    LEFT JOIN (
        SELECT code
        FROM used_code
        WHERE event_table = $event_table
    ) AS used
        ON cell.code = used.code
    LEFT JOIN (
        SELECT
            itemid
            , label
        FROM item_label
        WHERE event_table = $event_table
    ) AS item
        ON cell.itemid = item.itemid
    LEFT JOIN filmed_admission AS admission
        ON CAST(TRY_CAST(cell.hadm_id AS DOUBLE) AS BIGINT) = admission.hadm_id
) AS named
ORDER BY subject_id, event_at, event_table, source_row
