-- Grain: one row per specimen type that EHRXDiff keeps (specs ehrxdiff A.3).
SELECT spec_type_desc
FROM (
    VALUES
    ('ASPIRATE')
    , ('BRONCHIAL BRUSH')
    , ('BRONCHIAL BRUSH - PROTECTED')
    , ('BRONCHIAL WASHINGS')
    , ('BRONCHOALVEOLAR LAVAGE')
    , ('CHORIONIC VILLUS SAMPLE')
    , ('Mini-BAL')
    , ('PLEURAL FLUID')
    , ('RAPID RESPIRATORY VIRAL ANTIGEN TEST')
    , ('Rapid Respiratory Viral Screen & Culture')
    , ('SPUTUM')
    , ('THROAT')
    , ('THROAT CULTURE')
    , ('THROAT FOR STREP')
    , ('TRACHEAL ASPIRATE')
) AS listed (spec_type_desc)
ORDER BY spec_type_desc
