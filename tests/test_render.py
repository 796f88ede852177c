"""Simulated films: who is on them stays, what is found grows; and the tree they lie in."""

import gzip
import hashlib
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from cxrfuture_data.schema import FINDINGS, ContractError
from etl.simulate import cxr
from etl.simulate.anatomy import SEVERITIES, Anatomy, Findings, Pose
from etl.simulate.canvas import Canvas
from etl.simulate.chest import Chest
from etl.simulate.cxr import study_time, write_cxr_tree
from etl.simulate.frontal import frontal_canvas
from etl.simulate.render import WORKING_SIDE, film_shape, render_film

SIZE = WORKING_SIDE  # films are drawn at this size, so the canvas's pixels are the film's
GROWING = (0.0, 0.3, 0.6, 1.0)
PATIENTS = (11, 12)


def canvas_of(anatomy: Anatomy, view: str, film_seed: int) -> Canvas:
    rows, columns = film_shape(view, SIZE, film_seed)
    return frontal_canvas(anatomy, Pose.of(view, film_seed), columns, rows)


def brightness(film: np.ndarray, canvas: Canvas, x: float, y: float, radius: float = 0.08) -> float:
    """Mean grey of a disc in the patient's coordinates."""
    ((column, row),) = canvas.pixels(np.array([[x, y]]))
    rows, columns = np.ogrid[: film.shape[0], : film.shape[1]]
    near = (columns - column) ** 2 + (rows - row) ** 2 <= (radius * canvas.scale) ** 2
    return float(film[near].mean())


def sample_chest(anatomy: Anatomy, view: str, film_seed: int) -> np.ndarray:
    """The lungs and heart of a healthy film, read in the patient's coordinates."""
    film = render_film(anatomy, Findings(), view, SIZE, film_seed)
    chest = Chest.of(anatomy, Findings(), Pose.of(view, film_seed))
    x, y = np.meshgrid(np.linspace(-0.85, 0.85, 90), np.linspace(0.05, 0.9, 90) * chest.height)
    pixels = canvas_of(anatomy, view, film_seed).pixels(np.stack([x.ravel(), y.ravel()], axis=1))
    column, row = np.round(np.array(pixels).T).astype(int)
    return film[row.clip(0, film.shape[0] - 1), column.clip(0, film.shape[1] - 1)].astype(float)


def series(anatomy: Anatomy, finding: str, view: str = "PA") -> list[np.ndarray]:
    """One patient, one pose, one finding that grows."""
    return [
        render_film(anatomy, Findings(**{finding: severity}), view, SIZE, 5) for severity in GROWING
    ]


def assert_rising(values: list[float], step: float) -> None:
    assert all(later - earlier > step for earlier, later in pairwise(values)), values


@pytest.mark.parametrize("view", ["AP", "PA", "LATERAL", "LL"])
def test_the_same_arguments_give_the_same_bytes(view):
    findings = Findings(edema=0.5, effusion=0.4, devices=0.9)
    first, second, moved = (
        render_film(Anatomy.of(3), findings, view, 128, seed) for seed in (7, 7, 8)
    )
    assert first.dtype == np.uint8
    assert min(first.shape) == 128
    assert first.shape == film_shape(view, 128, 7)
    assert first.tobytes() == second.tobytes()
    assert first.tobytes() != moved.tobytes()


def test_two_films_of_a_patient_are_more_alike_than_films_of_two_patients():
    patients = [Anatomy.of(seed) for seed in range(30, 35)]
    before = [sample_chest(anatomy, "PA", 100 + i) for i, anatomy in enumerate(patients)]
    after = [sample_chest(anatomy, "PA", 200 + i) for i, anatomy in enumerate(patients)]
    alike = np.corrcoef(before, after)[:5, 5:]
    for i in range(5):
        assert alike[i, i] > np.delete(alike[i], i).max()
        assert alike[i, i] > np.delete(alike[:, i], i).max()


def test_lungs_are_darker_than_heart_and_abdomen():
    anatomy = Anatomy.of(4)
    film = render_film(anatomy, Findings(), "PA", SIZE, 5)
    canvas, height = canvas_of(anatomy, "PA", 5), anatomy.lung_height
    right, left = (brightness(film, canvas, x, 0.35 * height, 0.15) for x in (-0.55, 0.55))
    heart = brightness(film, canvas, 0.15, 0.8 * height, 0.1)
    abdomen = brightness(film, canvas, -0.4, 1.2 * height, 0.1)
    assert max(right, left) + 50 < min(heart, abdomen)


@pytest.mark.parametrize("seed", PATIENTS)
def test_effusion_brightens_the_base_of_its_side(seed):
    anatomy = Anatomy.of(seed)
    films, canvas = series(anatomy, "effusion"), canvas_of(anatomy, "PA", 5)
    side = anatomy.effusion_side or -1
    height = anatomy.lung_height

    def of_side(film: np.ndarray, which: int) -> float:
        heights = np.linspace(0.4, 1.15, 12) * height
        return float(np.mean([brightness(film, canvas, which * 0.82, y) for y in heights]))

    assert_rising([of_side(film, side) for film in films], 6)
    if anatomy.effusion_side:
        assert abs(of_side(films[2], -side) - of_side(films[0], -side)) < 4


@pytest.mark.parametrize("seed", PATIENTS)
def test_pneumothorax_darkens_the_apex_of_its_side(seed):
    anatomy = Anatomy.of(seed)
    films, canvas = series(anatomy, "pneumothorax"), canvas_of(anatomy, "PA", 5)

    def apex(film: np.ndarray, side: int) -> float:
        spots = [(0.45, 0.1), (0.55, 0.15), (0.65, 0.25), (0.6, 0.4), (0.7, 0.5)]
        return float(np.mean([brightness(film, canvas, side * x, y, 0.06) for x, y in spots]))

    side = anatomy.pneumothorax_side
    assert_rising([-apex(film, side) for film in films], 2)
    assert abs(apex(films[-1], -side) - apex(films[0], -side)) < 4


@pytest.mark.parametrize("seed", PATIENTS)
def test_cardiomegaly_widens_the_heart(seed):
    anatomy = Anatomy.of(seed)
    canvas = canvas_of(anatomy, "AP", 5)
    y = 0.72 * anatomy.lung_height * Pose.of("AP", 5).breath

    def columns(film: np.ndarray) -> float:
        """How many of the spots across the chest are as bright as the heart."""
        spots = [brightness(film, canvas, x, y, 0.04) for x in np.linspace(-0.9, 0.9, 121)]
        heart = brightness(film, canvas, 0.1, y)
        return sum(spot > 0.8 * heart for spot in spots)

    assert_rising([columns(film) for film in series(anatomy, "cardiomegaly", "AP")], 0)


@pytest.mark.parametrize("seed", PATIENTS)
def test_edema_brightens_both_hila(seed):
    anatomy = Anatomy.of(seed)
    films, canvas = series(anatomy, "edema", "AP"), canvas_of(anatomy, "AP", 5)
    for side in (-1, 1):
        y = 0.5 * anatomy.lung_height * 0.87
        assert_rising([brightness(film, canvas, side * 0.5, y, 0.15) for film in films], 5)


@pytest.mark.parametrize("seed", PATIENTS)
def test_consolidation_brightens_its_place_only(seed):
    anatomy = Anatomy.of(seed)
    films, canvas = series(anatomy, "consolidation"), canvas_of(anatomy, "PA", 5)
    x = anatomy.consolidation_side * anatomy.consolidation_x * 0.9
    y = anatomy.consolidation_y * anatomy.lung_height
    assert_rising([brightness(film, canvas, x, y, 0.12) for film in films], 3)
    other = [brightness(film, canvas, -x, y, 0.12) for film in films]
    assert max(other) - min(other) < 2


@pytest.mark.parametrize("seed", PATIENTS)
def test_atelectasis_brightens_the_base_and_lifts_the_diaphragm(seed):
    anatomy = Anatomy.of(seed)
    films, canvas = series(anatomy, "atelectasis"), canvas_of(anatomy, "PA", 5)
    x, height = 0.5 * anatomy.atelectasis_side, anatomy.lung_height
    base = [
        np.mean([brightness(film, canvas, x, y * height) for y in (0.75, 0.82, 0.89, 0.96)])
        for film in films
    ]
    assert_rising([float(value) for value in base], 4)


@pytest.mark.parametrize("view", ["PA", "LATERAL"])
def test_devices_add_bright_pixels(view):
    films = series(Anatomy.of(11), "devices", view)
    added = [int((film.astype(int) - films[0] > 15).sum()) for film in films]
    assert_rising([float(count) for count in added], 50)


@pytest.mark.parametrize("finding", SEVERITIES)
def test_every_finding_shows_on_a_lateral_film(finding):
    films = [film.astype(int) for film in series(Anatomy.of(11), finding, "LL")]
    assert_rising([float(np.abs(film - films[0]).mean()) for film in films], 0.05)


def test_impossible_arguments_are_refused():
    with pytest.raises(ValueError, match=r"severity of edema must be within 0 and 1, got 1\.2"):
        Findings(edema=1.2)
    with pytest.raises(ValueError, match=r"view must be one of .*, got 'OBLIQUE'"):
        render_film(Anatomy.of(1), Findings(), "OBLIQUE", 128, 1)


@pytest.mark.parametrize(
    ("taken_at", "spelled"),
    [
        (datetime(2150, 3, 1, 8, 5, 56, 875000), "80556.875"),
        (datetime(2150, 3, 1, 0, 0, 12), "12.0"),
        (datetime(2150, 3, 1, 23, 59, 59, 999999), "235959.999"),
    ],
)
def test_study_time_is_a_float_without_leading_zeros(taken_at, spelled):
    assert study_time(taken_at) == spelled


def plan() -> tuple[pl.DataFrame, pl.DataFrame]:
    """Two patients, three studies, five films; the first study's view of film b is not recorded."""
    at = [datetime(2150, 3, 1, 8, 5, 56, 875000), datetime(2150, 3, 2, 0, 0, 12)]
    rows = [
        (10000032, 50414267, "a" * 44, at[0], "PA", "PA", 1, 101),
        (10000032, 50414267, "b" * 44, at[0], None, "LATERAL", 1, 102),
        (10000032, 53189527, "c" * 44, at[1], "AP", "AP", 1, 103),
        (19999987, 55368167, "d" * 44, at[0], "AP", "AP", 2, 104),
        (19999987, 55368167, "e" * 44, at[0], "LL", "LL", 2, 105),
    ]
    names = ("subject_id", "study_id", "dicom_id", "taken_at", "view", "true_view")
    films = pl.DataFrame(rows, schema=[*names, "anatomy_seed", "film_seed"], orient="row")
    films = films.with_columns(pl.lit(0.4).alias(f"severity_{name}") for name in SEVERITIES)
    studies = films.select("subject_id", "study_id", "taken_at").unique("study_id")
    blank = pl.lit(None, pl.Float64)
    studies = studies.with_columns(
        (pl.lit(1.0) if name == "Edema" else blank).alias(prefix + name)
        for prefix in ("", "negbio ")
        for name in FINDINGS
    ).with_columns(pl.lit(-1.0).alias("negbio Edema"))
    return films, studies


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("tree")
    write_cxr_tree(root, *plan(), image_size=64, seed=3, workers=1)
    return root


def contents(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and ".done" not in path.parts
    }


def csv_lines(path: Path) -> list[str]:
    return gzip.decompress(path.read_bytes()).decode().splitlines()


def test_metadata_is_spelled_as_in_the_release(tree):
    lines = csv_lines(tree / "mimic-cxr-2.0.0-metadata.csv.gz")
    assert lines[0] == (
        "dicom_id,subject_id,study_id,PerformedProcedureStepDescription,ViewPosition,Rows,Columns,"
        "StudyDate,StudyTime,ProcedureCodeSequence_CodeMeaning,ViewCodeSequence_CodeMeaning,"
        "PatientOrientationCodeSequence_CodeMeaning"
    )
    cells = [line.split(",") for line in lines[1:]]
    assert [cell[4] for cell in cells] == ["PA", "", "AP", "AP", "LL"]
    assert {cell[8] for cell in cells[:2]} == {"80556.875"}
    assert (cells[2][7], cells[2][8]) == ("21500302", "12.0")
    first = tree / "files/p10/p10000032/s50414267" / ("a" * 44 + ".jpg")
    with Image.open(first) as film:
        assert film.mode == "L"
        assert film.size == (int(cells[0][6]), int(cells[0][5]))


def test_labels_are_spelled_as_in_the_release(tree):
    lines = csv_lines(tree / "mimic-cxr-2.0.0-chexpert.csv.gz")
    assert lines[0] == (
        "subject_id,study_id,Atelectasis,Cardiomegaly,Consolidation,Edema,"
        "Enlarged Cardiomediastinum,Fracture,Lung Lesion,Lung Opacity,No Finding,Pleural Effusion,"
        "Pleural Other,Pneumonia,Pneumothorax,Support Devices"
    )
    assert lines[1] == "10000032,50414267,,,,1.0,,,,,,,,,,"
    negbio = csv_lines(tree / "mimic-cxr-2.0.0-negbio.csv.gz")
    assert negbio[0] == lines[0]
    assert negbio[1] == "10000032,50414267,,,,-1.0,,,,,,,,,,"


def test_split_is_by_patient(tree):
    lines = csv_lines(tree / "mimic-cxr-2.0.0-split.csv.gz")
    assert lines[0] == "dicom_id,study_id,subject_id,split"
    splits = {tuple(line.split(",")[2:]) for line in lines[1:]}
    assert len(splits) == 2
    assert {split for _, split in splits} <= {"train", "validate", "test"}


def test_every_file_is_listed_with_its_hash(tree):
    names = (tree / "IMAGE_FILENAMES").read_text().splitlines()
    assert names[0] == f"files/p10/p10000032/s50414267/{'a' * 44}.jpg"
    files = contents(tree)
    sums = files.pop("SHA256SUMS.txt").decode().splitlines()
    assert sums == [f"{hashlib.sha256(files[name]).hexdigest()}  {name}" for name in sorted(files)]
    assert set(names) == {name for name in files if name.endswith(".jpg")}


def test_two_workers_write_the_same_bytes(tree, tmp_path, monkeypatch):
    monkeypatch.setattr(cxr, "FILMS_PER_BATCH", 2)
    write_cxr_tree(tmp_path, *plan(), image_size=64, seed=3, workers=2)
    assert contents(tmp_path) == contents(tree)


def test_a_broken_run_is_mended_and_finished_films_are_kept(tree, tmp_path, monkeypatch):
    monkeypatch.setattr(cxr, "FILMS_PER_BATCH", 2)
    write_cxr_tree(tmp_path, *plan(), image_size=64, seed=3, workers=1)
    films = sorted((tmp_path / "files").rglob("*.jpg"))
    kept = films[0].stat().st_mtime_ns
    films[-1].with_name(films[-1].name + ".part").write_bytes(b"half a film")
    films[-1].unlink()
    (tmp_path / ".done/films-000002.json").unlink()
    write_cxr_tree(tmp_path, *plan(), image_size=64, seed=3, workers=1)
    assert films[0].stat().st_mtime_ns == kept
    assert contents(tmp_path) == contents(tree)


def test_films_of_an_earlier_plan_go(tmp_path):
    films, studies = plan()
    write_cxr_tree(tmp_path, films.head(2), studies, image_size=64, seed=3, workers=1)
    write_cxr_tree(tmp_path, films.head(1), studies, image_size=64, seed=3, workers=1)
    assert [path.stem for path in tmp_path.rglob("*.jpg")] == ["a" * 44]


def test_without_rendering_the_tables_are_the_same(tree, tmp_path):
    write_cxr_tree(tmp_path, *plan(), image_size=64, seed=3, workers=1, render=False)
    files, rendered = contents(tmp_path), contents(tree)
    assert not any(name.endswith(".jpg") for name in files)
    assert len(files.pop("SHA256SUMS.txt").splitlines()) == len(files) == 6
    assert all(rendered[name] == content for name, content in files.items())


def test_a_film_without_a_study_is_refused(tmp_path):
    films, studies = plan()
    with pytest.raises(ContractError, match="films: 2 of 5 have no study"):
        write_cxr_tree(tmp_path, films, studies.filter(pl.col("study_id") != 50414267), 64, 3, 1)
    with pytest.raises(ContractError, match="a study_id occurs twice"):
        write_cxr_tree(tmp_path, films, pl.concat([studies, studies]), 64, 3, 1)
