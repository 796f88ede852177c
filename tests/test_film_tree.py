"""Films in every layout: found, said, recorded; the same cohort and windows from any source."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image
from tiny_film import dicom_id
from typer.testing import CliRunner

import cxrfuture
from cxrfuture_data.schema import ContractError
from etl import film_tree, image
from etl.film_dicom import decode_dicom
from etl.film_tree import FilmTree, Sizes, choose_films, find_films, measure_films
from etl.params import read_params
from etl.prepare import prepare
from etl.recipe import read_recipe
from etl.simulate import SimulateOptions, simulate
from etl.simulate.dicom_film import FORMS, write_dicom

ROOT = Path(__file__).resolve().parent.parent
SIZE = 320  # of the simulated films' shorter side; every recipe takes less
PATIENTS = 6


def place(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def save(path: Path, width: int, height: int, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    y, x = np.mgrid[0:height, 0:width]
    grey = (128 + 60 * np.sin(x / 20) + 60 * np.cos(y / 15)).astype(np.uint8)
    Image.fromarray(grey).save(path, **options)
    return path


# --- where films lie

RELEASED = f"files/p10/p10000032/s50414267/{dicom_id(1)}.jpg"
LAYOUTS = {
    "the release": (RELEASED, "files", "release"),
    "the folder files itself": (RELEASED.removeprefix("files/"), ".", "release"),
    "resized beside nothing": (
        f"files_512/{RELEASED.removeprefix('files/')}",
        "files_512",
        "release",
    ),
    "flat in files": (f"files/{dicom_id(1)}.png", "files", "flat"),
    "flat": (f"{dicom_id(1)}.dcm", ".", "flat"),
    "flat in resized": (f"resized/{dicom_id(1)}.jpg", "resized", "flat"),
}


@pytest.mark.parametrize(("there", "folder", "layout"), LAYOUTS.values(), ids=LAYOUTS)
def test_films_are_found_in_any_layout(tmp_path, there, folder, layout):
    path = place(tmp_path / there)
    tree = find_films(tmp_path)
    assert tree == FilmTree(tmp_path / folder, layout)
    assert tree.locate(RELEASED) == path
    assert tree.locate(RELEASED.replace("00000001", "00000002")) is None


def test_the_release_s_folders_go_before_a_flat_folder(tmp_path):
    place(tmp_path / "a" / f"{dicom_id(1)}.jpg")
    assert find_films(tmp_path).layout == "flat"
    (tmp_path / "b" / "p10").mkdir(parents=True)
    assert find_films(tmp_path) == FilmTree(tmp_path / "b", "release")


def test_a_picture_that_is_no_film_does_not_make_a_flat_folder(tmp_path):
    place(tmp_path / "figure.png")
    place(tmp_path / "notes" / "p10.txt")
    assert find_films(tmp_path) == FilmTree(tmp_path / "files", "release")


@pytest.mark.parametrize("folder", ["files/p10/p10000032/s50414267", "resized"])
def test_in_a_mixed_tree_a_jpg_goes_before_png_and_dicom(tmp_path, folder):
    tree = None
    for suffix in (".dcm", ".png", ".jpg"):
        path = place(tmp_path / folder / f"{dicom_id(1)}{suffix}")
        tree = tree or find_films(tmp_path)
        assert tree.locate(RELEASED) == path


def test_looking_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(film_tree, "ENTRIES_LOOKED_AT", 5)
    for number in range(20):
        place(tmp_path / "resized" / f"note-{number}.txt")
    scanned = []
    entries = film_tree._entries

    def count(folder):
        for entry in entries(folder):
            scanned.append(entry)
            yield entry

    monkeypatch.setattr(film_tree, "_entries", count)
    find_films(tmp_path)
    assert len(scanned) <= 5 + 2  # of resized/, and of the root twice, which holds one


def test_links_that_lead_back_are_no_films(tmp_path):
    (tmp_path / "back").symlink_to(tmp_path)
    (tmp_path / "self").symlink_to(tmp_path / "self")
    path = place(tmp_path / "resized" / f"{dicom_id(1)}.jpg")
    assert find_films(tmp_path).locate(RELEASED) == path


# --- their sizes


def test_sizes_are_compared_with_the_metadata(tmp_path):
    located = [
        ("whole", save(tmp_path / "a.jpg", 400, 480)),
        ("half", save(tmp_path / "b.png", 200, 240)),
        ("square", save(tmp_path / "c.jpg", 256, 256)),
        ("gone", None),
        ("unlisted", save(tmp_path / "d.jpg", 10, 10)),
        ("broken", place(tmp_path / "e.jpg")),
    ]
    shapes = dict.fromkeys(("whole", "half", "square", "gone", "broken"), (480, 400))
    assert measure_films(located, shapes) == Sizes(3, 2, (200, 256), 1)


def test_sizes_rounded_to_whole_pixels_keep_their_shape(tmp_path):
    located = [("film", save(tmp_path / "a.jpg", 256, 307))]  # 3056 / 2544 * 256 is 307.5
    assert measure_films(located, {"film": (3056, 2544)}).reshaped == 0


@pytest.mark.parametrize("count", [0, 1, 31, 32, 33, 1000])
def test_a_few_films_are_looked_at(count):
    located = [(str(number), Path("film")) for number in range(count)] + [("gone", None)]
    chosen = choose_films(located)
    assert min(count, 16) <= len(chosen) <= 32
    assert ("gone", None) not in chosen


# --- every source, one cohort


def simulated(out: Path, **changes) -> Path:
    options = {"patients": PATIENTS, "seed": 20, "image_size": SIZE} | changes
    simulate(SimulateOptions(out=out, **options))
    return out


def copy_as(source: Path, target: Path, place, side: int) -> None:
    """Resize a tree of films as people do: the shorter side to ``side``."""
    for path in sorted(source.rglob("*.jpg")):
        film = target / place(path.relative_to(source))
        film.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(path) as whole:
            scale = side / min(whole.size)
            size = [round(length * scale) for length in whole.size]
            whole.resize(size, Image.Resampling.BICUBIC).save(film)


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> Path:
    """One hospital: jpg/, dicom/, and copies of jpg's films, png/ resized and flat/ in a folder."""
    top = tmp_path_factory.mktemp("sources")
    jpg = simulated(top / "jpg") / "mimic-cxr-jpg" / "files"
    simulated(top / "dicom", films_as="dicom")
    copy_as(jpg, top / "png", lambda path: path.with_suffix(".png"), 300)
    copy_as(jpg, top / "flat", lambda path: path.name, 256)
    copy_as(jpg, top / "small", lambda path: path.name, 100)
    return top


def params_of(sources: Path, build: Path, tree: str = "jpg", films: str = ""):
    params = read_params(ROOT / "params.yaml")
    paths = params.paths.model_copy(
        update={
            "mimic_iv": str(sources / tree / "mimic-iv"),
            "mimic_cxr_jpg": str(sources / tree / "mimic-cxr-jpg"),
            "films": str(sources / films) if films else "",
            "build": build,
        }
    )
    return params.model_copy(update={"paths": paths})


SOURCES = {"dicom": ("dicom", ""), "png": ("jpg", "png"), "flat": ("jpg", "flat")}
RECIPES = ("ddl_cxr", "ehrxdiff")


def built(params) -> dict[str, pl.DataFrame]:
    """Events, cohort and windows of both recipes, and the metadata they come from."""
    tables = {}
    for recipe in RECIPES:
        folder = prepare(params, read_recipe(recipe))
        for path in sorted(folder.glob("*/*.parquet")):
            tables[f"{recipe}/{path.parent.name}/{path.name}"] = pl.read_parquet(path)
    tables["cxr_metadata"] = pl.read_parquet(params.build("ingest", "cxr_metadata.parquet"))
    return tables


@pytest.fixture(scope="module")
def expected(sources) -> dict[str, pl.DataFrame]:
    return built(params_of(sources, sources / "build" / "jpg"))


@pytest.mark.slow
@pytest.mark.parametrize("source", [*SOURCES, "walked"])
def test_every_source_gives_the_same_cohort_and_windows(sources, expected, source):
    tree, films = SOURCES.get(source, ("dicom", ""))
    lists = sources / "dicom" / "mimic-cxr-jpg" / "cxr-record-list.csv.gz"
    away = sources / "cxr-record-list.csv.gz"
    if source == "walked":
        lists.rename(away)
    try:
        found = built(params_of(sources, sources / "build" / source, tree, films))
    finally:
        if away.exists():
            away.rename(lists)
    assert expected["ehrxdiff/cohort/pair.parquet"].height > 20
    assert expected["ddl_cxr/window/hourly.parquet"].height > 500
    assert found.keys() == expected.keys()
    for name, table in expected.items():
        if tree == "dicom" and name.endswith("radiologist_label.parquet"):
            continue  # these come with MIMIC-CXR-JPG 2.1.0 only
        assert table.equals(found[name]), name


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "layout", "suffix", "side"),
    [
        ("jpg", "release", "jpg", None),
        ("dicom", "release", "dcm", None),
        ("png", "release", "png", 300),
        ("flat", "flat", "jpg", 256),
    ],
)
def test_image_says_and_records_how_films_lie(
    sources, expected, capsys, source, layout, suffix, side
):
    tree, films = SOURCES.get(source, ("jpg", ""))
    params = params_of(sources, sources / "build" / source, tree, films)
    recipe = read_recipe("ddl_cxr")
    prepare(params, recipe)
    image.run(params, recipe)
    count = pl.read_parquet(params.build("ddl_cxr", "cohort", "film.parquet")).height
    said = capsys.readouterr().err
    words = {"release": "the release's folders", "flat": "one flat folder"}[layout]
    assert f": {words}, {count} {suffix} of {count} films" in said
    assert ("resized to" in said) == (side is not None)
    facts = json.loads(params.build("ddl_cxr", "image", "done.json").read_text())
    assert facts["films"]["layout"] == layout
    assert facts["films"]["files"] == {"jpg": 0, "png": 0, "dcm": 0} | {suffix: count}
    assert facts["films"]["shorter_side"] == (None if side is None else [side, side])
    assert facts["outcomes"]["ok"] == count


@pytest.mark.slow
def test_films_resized_to_less_than_a_recipe_takes_are_refused(sources, expected):
    params = params_of(sources, sources / "build" / "small", films="small")
    recipe = read_recipe("ddl_cxr")
    prepare(params, recipe)
    message = r"small: films were resized to 100 pixels on the shorter side, the recipe takes 224"
    with pytest.raises(ContractError, match=message):
        image.run(params, recipe)
    assert not params.build("ddl_cxr", "image", "done.json").exists()


# --- simulated films


@pytest.mark.parametrize("form", range(len(FORMS)))
def test_every_dicom_form_shows_the_grey_it_was_given(tmp_path, form):
    grey = np.arange(256, dtype=np.uint8).reshape(8, 32)
    row = {"dicom_id": "ab" * 20, "subject_id": 1, "study_id": 2, "StudyDate": 21800506}
    names = ("PerformedProcedureStepDescription", "ViewPosition")
    sequences = ("ProcedureCodeSequence", "ViewCodeSequence", "PatientOrientationCodeSequence")
    row |= {"StudyTime": "12.0", **dict.fromkeys(names)}
    row |= dict.fromkeys(f"{name}_CodeMeaning" for name in sequences)
    write_dicom(tmp_path / "film.dcm", grey, row, film_seed=form)
    assert decode_dicom((tmp_path / "film.dcm").read_bytes())[0].tolist() == grey.tolist()


def test_each_way_to_write_films_leaves_nothing_of_another(tmp_path):
    root = tmp_path / "mimic-cxr-jpg"
    made = {}
    for films_as in ("jpg", "dicom", "flat", "resized", "jpg"):
        simulated(tmp_path, patients=1, image_size=64, films_as=films_as)
        files = [path for path in root.rglob("*") if path.is_file() and ".done" not in path.parts]
        made.setdefault(films_as, []).append(
            {path.relative_to(root).as_posix(): path.read_bytes() for path in files}
        )
    again = made["jpg"]
    assert again[0] == again[1]
    films = [name for name in again[0] if name.endswith(".jpg")]
    assert films
    dicom, flat, resized = (made[name][0] for name in ("dicom", "flat", "resized"))
    assert {name.replace(".jpg", ".dcm") for name in films} <= dicom.keys()
    assert {"cxr-record-list.csv.gz", "cxr-study-list.csv.gz"} <= dicom.keys()
    assert not {"mimic-cxr-2.0.0-metadata.csv.gz", "IMAGE_FILENAMES"} & dicom.keys()
    assert {f"resized/{Path(name).name}" for name in films} <= flat.keys()
    assert resized.keys() == again[0].keys()
    assert len(flat) == len(resized)
    for tree in (again[0], dicom, flat, resized):
        sums = tree["SHA256SUMS.txt"].decode().split()[1::2]
        assert set(sums) == tree.keys() - {"SHA256SUMS.txt", "SIMULATED.json"}
    with Image.open(root / films[0]) as whole:
        width, height = whole.size
    (tmp_path / "half.jpg").write_bytes(resized[films[0]])
    with Image.open(tmp_path / "half.jpg") as half:
        assert half.size == (width // 2, height // 2)


def test_the_command_names_the_ways_to_write_films(tmp_path):
    command = ["simulate", "--params", str(ROOT / "params.yaml"), "--patients", "1", "--films-as"]
    result = CliRunner().invoke(
        cxrfuture.app, [*command, "tiff", "--out", str(tmp_path)], catch_exceptions=True
    )
    assert "films_as is one of jpg, dicom, resized, flat, found 'tiff'" in str(result.exception)
    result = CliRunner().invoke(cxrfuture.app, [*command, "dicom"])
    assert "need --out" in str(result.exception)
