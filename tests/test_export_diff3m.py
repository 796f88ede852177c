"""The tables of Diff3M's authors, from a tiny build of its cohort."""

from tiny_stages import SUBJECT, Built, build, film, patient

from etl.export_diff3m import export

HEADER = (
    "Path,Atelectasis,Cardiomegaly,Consolidation,Edema,Enlarged Cardiomediastinum,Fracture,"
    "Lung Lesion,Lung Opacity,No Finding,Pleural Effusion,Pleural Other,Pneumonia,Pneumothorax,"
    "ViewPosition,sex,age,BMI (kg/m2),Blood Pressure Max,Blood Pressure Min,Height (Inches),"
    "Weight (Lbs)"
)
FINDING = {"a": 1.0, "b": None, "c": 0.0, "d": -1.0}
SPLIT = {"a": "train", "b": "train", "c": "validate", "d": "test"}
VALUES = {
    "BMI (kg/m2)": "24.55",
    "Blood Pressure": "120/80",
    "Height (Inches)": "65",
    "Weight (Lbs)": "150",
}


def four_films(root, anchor_age=60) -> Built:
    """Four patients of two sexes with a film each, anchor year 2148, filmed in 2150."""
    ids = {name: {"subject_id": SUBJECT + n} for n, name in enumerate(FINDING)}
    studies = {name: {"study_id": 100 + n} for n, name in enumerate(FINDING)}
    tables = {
        "patients": [
            patient(SUBJECT + n, gender="FM"[n % 2], anchor_age=anchor_age) for n in range(4)
        ],
        "cxr_metadata": [
            film(name, 10, 100 + n, viewposition=("AP", "PA")[n // 2], **ids[name])
            for n, name in enumerate(FINDING)
        ],
        "cxr_chexpert": [
            {**ids[name], **studies[name], "No Finding": value, "Edema": -1.0}
            for name, value in FINDING.items()
        ],
        "cxr_split": [
            {"dicom_id": name, "split": split, **ids[name], **studies[name]}
            for name, split in SPLIT.items()
        ],
        "omr": [
            {
                **ids[name],
                "chartdate": "2150-01-01",
                "seq_num": 1,
                "result_name": what,
                "result_value": value,
            }
            for name in FINDING
            for what, value in VALUES.items()
        ],
    }
    return build(root, "diff3m", tables, until="cohort")


def lines_of(folder, split):
    return (folder / f"mimic_{split}_version_one_five.csv").read_text().splitlines()


def test_a_table_a_split_as_their_loader_reads_it(tmp_path):
    built = four_films(tmp_path)
    export(built.params, built.recipe, tmp_path / "out")
    folder = "2.0.0/files/p10/p1000000"
    values = "24.55,120.0,80.0,65.0,150.0"
    assert lines_of(tmp_path / "out", "train") == [
        HEADER,
        f"{folder}1/s100/a.jpg,,,,-1.0,,,,,1.0,,,,,AP,0.0,62.0,{values}",
        f"{folder}2/s101/b.jpg,,,,-1.0,,,,,,,,,,AP,1.0,62.0,{values}",
    ]
    assert lines_of(tmp_path / "out", "valid") == [
        HEADER,
        f"{folder}3/s102/c.jpg,,,,-1.0,,,,,0.0,,,,,PA,0.0,62.0,{values}",
    ]
    assert lines_of(tmp_path / "out", "test") == [
        HEADER,
        f"{folder}4/s103/d.jpg,,,,-1.0,,,,,-1.0,,,,,PA,1.0,62.0,{values}",
    ]


def test_one_row_a_film_with_the_label_of_their_test_set(tmp_path):
    built = four_films(tmp_path)
    export(built.params, built.recipe, tmp_path / "out")
    values = "24.55,120.0,80.0,65.0,150.0"
    assert (tmp_path / "out" / "image.csv").read_text().splitlines() == [
        "dicom_id,subject_id,study_id,split,sex,age,view,BMI (kg/m2),Blood Pressure Max,"
        "Blood Pressure Min,Height (Inches),Weight (Lbs),no_finding,label",
        f"a,10000001,100,train,0.0,62.0,AP,{values},1.0,0",
        f"b,10000002,101,train,1.0,62.0,AP,{values},,1",
        f"c,10000003,102,valid,0.0,62.0,PA,{values},0.0,1",
        f"d,10000004,103,test,1.0,62.0,PA,{values},-1.0,1",
    ]


def test_an_age_their_loader_stops_at_is_written_as_the_oldest_it_takes(tmp_path):
    built = four_films(tmp_path, anchor_age=98)  # T7: 100 in 2150
    export(built.params, built.recipe, tmp_path / "out")
    assert lines_of(tmp_path / "out", "train")[1].split(",")[16] == "99.0"
    assert (tmp_path / "out" / "image.csv").read_text().splitlines()[1].split(",")[5] == "100.0"
