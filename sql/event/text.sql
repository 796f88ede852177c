-- Grain: one row per distinct text of the events that are kept.
-- Texts still hold CHR(31) between their parts; it becomes one blank. In a clean text white space of
-- any length and kind becomes one blank, too; a published one keeps it.
SELECT
    text_id
    , CASE
        WHEN
            $clean_text
            AND REGEXP_MATCHES(text, '\s{2}|[\t\n\r]|\s\x1f|\x1f\s|\s$')
            THEN TRIM(REGEXP_REPLACE(text, '[\s\x1f]+', ' ', 'g'))
        ELSE REPLACE(text, CHR(31), ' ')
    END AS text
FROM parted_text
ORDER BY text_id
