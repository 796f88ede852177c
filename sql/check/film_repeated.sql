-- Grain: one row per dicom_id that the film list holds more than once.
SELECT dicom_id
FROM film
GROUP BY dicom_id
HAVING COUNT(*) > 1
ORDER BY dicom_id
