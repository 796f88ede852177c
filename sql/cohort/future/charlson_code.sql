-- Grain: one row per (comorbidity, icd_version): the codes, without dots, that count as it.
-- Quan et al. 2005, Coding algorithms for defining comorbidities in ICD-9-CM and ICD-10
-- administrative data, Table 1 (the enhanced ICD-9-CM lists). A pattern matches from the start.
SELECT
    comorbidity
    , CAST(icd_version AS BIGINT) AS icd_version
    , pattern
FROM (
    VALUES
    ('myocardial infarction', 9, '41[02]')
    , ('myocardial infarction', 10, 'I2[12]|I252')
    , (
        'congestive heart failure', 9
        , '39891|402[019]1|404[019][13]|425[4-9]|428'
    )
    , (
        'congestive heart failure', 10
        , 'I099|I110|I13[02]|I255|I420|I42[5-9]|I43|I50|P290'
    )
    , (
        'peripheral vascular disease', 9
        , '0930|4373|44[01]|443[1-9]|4471|557[19]|V434'
    )
    , (
        'peripheral vascular disease', 10
        , 'I7[01]|I73[189]|I771|I79[02]|K55[189]|Z95[89]'
    )
    , ('cerebrovascular disease', 9, '36234|43[0-8]')
    , ('cerebrovascular disease', 10, 'G4[56]|H340|I6[0-9]')
    , ('dementia', 9, '290|2941|3312')
    , ('dementia', 10, 'F0[0-3]|F051|G30|G311')
    , ('chronic pulmonary disease', 9, '416[89]|49[0-9]|50[0-5]|5064|508[18]')
    , ('chronic pulmonary disease', 10, 'I27[89]|J4[0-7]|J6[0-7]|J684|J70[13]')
    , ('rheumatic disease', 9, '4465|710[0-4]|714[0-28]|725')
    , ('rheumatic disease', 10, 'M0[56]|M315|M3[2-4]|M35[13]|M360')
    , ('peptic ulcer disease', 9, '53[1-4]')
    , ('peptic ulcer disease', 10, 'K2[5-8]')
    , (
        'mild liver disease', 9
        , '070[23][23]|070[45]4|070[69]|57[01]|573[3489]|V427'
    )
    , (
        'mild liver disease', 10
        , 'B18|K70[0-39]|K71[3-57]|K7[34]|K760|K76[2-489]|Z944'
    )
    , ('diabetes without chronic complication', 9, '250[0-389]')
    , ('diabetes without chronic complication', 10, 'E1[0-4][01689]')
    , ('diabetes with chronic complication', 9, '250[4-7]')
    , ('diabetes with chronic complication', 10, 'E1[0-4][2-57]')
    , ('hemiplegia or paraplegia', 9, '3341|34[23]|344[0-69]')
    , ('hemiplegia or paraplegia', 10, 'G041|G114|G80[12]|G8[12]|G83[0-49]')
    , (
        'renal disease', 9
        , '403[019]1|404[019][23]|582|583[0-7]|58[56]|5880|V420|V451|V56'
    )
    , (
        'renal disease', 10
        , 'I120|I131|N03[2-7]|N05[2-7]|N1[89]|N250|Z49[0-2]|Z940|Z992'
    )
    , (
        'malignancy', 9
        , '1[4-6][0-9]|17[0-24-9]|18[0-9]|19[0-4]|195[0-8]|20[0-8]|2386'
    )
    , (
        'malignancy', 10
        , 'C[01][0-9]|C2[0-6]|C3[0-47-9]|C4[0135-9]|C5[0-8]|C6[0-9]|C7[0-6]|C8[1-58]|C9[0-7]'
    )
    , ('moderate or severe liver disease', 9, '456[0-2]|572[2-8]')
    , (
        'moderate or severe liver disease', 10
        , 'I85[09]|I864|I982|K704|K711|K72[19]|K76[5-7]'
    )
    , ('metastatic solid tumour', 9, '19[6-9]')
    , ('metastatic solid tumour', 10, 'C7[7-9]|C80')
    , ('AIDS or HIV', 9, '04[2-4]')
    , ('AIDS or HIV', 10, 'B2[0-24]')
) AS listed (comorbidity, icd_version, pattern)
ORDER BY comorbidity, icd_version
