"""A tree shaped like MIMIC-CXR-JPG 2.1.0, whose files keep "2.0.0" in their names, from a plan.

Or what people make of it: films of half the size, in the same folders or in one; or MIMIC-CXR's
DICOM files, whose release has two lists and no metadata.
"""

import gzip
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import datetime
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import polars as pl

from cxrfuture_data.console import progress
from cxrfuture_data.publish import file_sha256, publish
from cxrfuture_data.schema import FINDINGS, ContractError
from etl.simulate.anatomy import SEVERITIES, generator
from etl.simulate.film import (
    DICOM,
    FLAT,
    FLAT_FOLDER,
    JPG,
    Batch,
    Film,
    leave_with_parent,
    write_batch,
)
from etl.simulate.render import film_shape
from etl.version_schema import FILE_NAMES, TEST_SET

FILMS_PER_BATCH = 32
DONE = ".done"
METADATA = "mimic-cxr-2.0.0-metadata.csv.gz"
LISTS = ("cxr-record-list.csv.gz", "cxr-study-list.csv.gz")

METADATA_COLUMNS = (
    "dicom_id",
    "subject_id",
    "study_id",
    "PerformedProcedureStepDescription",
    "ViewPosition",
    "Rows",
    "Columns",
    "StudyDate",
    "StudyTime",
    "ProcedureCodeSequence_CodeMeaning",
    "ViewCodeSequence_CodeMeaning",
    "PatientOrientationCodeSequence_CodeMeaning",
)
VIEW_MEANING = {
    "AP": "antero-posterior",
    "PA": "postero-anterior",
    "LATERAL": "lateral",
    "LL": "left lateral",
}


def write_cxr_tree(
    root: Path,
    films: pl.DataFrame,
    studies: pl.DataFrame,
    image_size: int,
    seed: int,
    workers: int,
    render: bool = True,
    films_as: str = JPG,
    version: str = "2.1.0",
) -> None:
    """Write CSVs, lists and, if ``render``, every film; a killed run resumes at its last batch."""
    films = films.sort("subject_id", "study_id", "dicom_id")
    studies = studies.sort("subject_id", "study_id")
    require_studies(films, studies)
    metadata = metadata_table(films, studies, image_size)
    ids = films.select("subject_id", "study_id", "dicom_id").rows()
    released = [film_path(*of_film) for of_film in ids]
    paths = [place_film(path, films_as) for path in released]
    rows = metadata.to_dicts() if films_as == DICOM else []
    batches = plan_batches(root, films, paths, image_size, films_as, rows) if render else []
    remove_strangers(root, set(paths) if render else set(), {batch.record for batch in batches})
    hashes = write_films(batches, workers)
    split = split_table(films, seed)
    tables = {
        "mimic-cxr-2.0.0-split.csv.gz": split,
        "mimic-cxr-2.0.0-chexpert.csv.gz": label_table(studies, ""),
        "mimic-cxr-2.0.0-negbio.csv.gz": label_table(studies, "negbio "),
    }
    if films_as == DICOM:
        tables |= list_tables(films, studies, paths)
    else:
        tables[METADATA] = metadata
    is_newer = films_as != DICOM and version != "2.0.0"
    names = [*tables, FILE_NAMES, TEST_SET] if is_newer else [*tables]
    for name in {METADATA, FILE_NAMES, TEST_SET, *LISTS}.difference(names):
        (root / name).unlink(missing_ok=True)  # of an earlier run that wrote films otherwise
    for name, table in tables.items():
        write_csv_gz(root / name, table)
    if is_newer:
        write_lines(root / FILE_NAMES, released)
        write_lines(root / TEST_SET, radiologist_table(studies, split).write_csv().splitlines())
    for name in names:
        hashes[name] = file_sha256(root / name)
    write_lines(root / "SHA256SUMS.txt", [f"{hashes[name]}  {name}" for name in sorted(hashes)])


def film_path(subject_id: int, study_id: int, dicom_id: str) -> str:
    """Where the release keeps a film."""
    return f"files/p{str(subject_id)[:2]}/p{subject_id}/s{study_id}/{dicom_id}.jpg"


def place_film(path: str, films_as: str) -> str:
    """Where a film is written that the release keeps at ``path``."""
    if films_as == DICOM:
        return path.removesuffix(".jpg") + ".dcm"
    return f"{FLAT_FOLDER}/{path.rpartition('/')[2]}" if films_as == FLAT else path


def list_tables(
    films: pl.DataFrame, studies: pl.DataFrame, paths: list[str]
) -> dict[str, pl.DataFrame]:
    """The record list and the study list of MIMIC-CXR; the reports that the second names are not
    simulated."""
    records = films.select("subject_id", "study_id", "dicom_id").with_columns(
        pl.Series("path", paths, pl.String)
    )
    reports = [
        f"files/p{str(subject_id)[:2]}/p{subject_id}/s{study_id}.txt"
        for subject_id, study_id in studies.select("subject_id", "study_id").iter_rows()
    ]
    listed = studies.select("subject_id", "study_id").with_columns(
        pl.Series("path", reports, pl.String)
    )
    return dict(zip(LISTS, (records, listed), strict=True))


def study_date(taken_at: datetime) -> int:
    """YYYYMMDD as a whole number."""
    return taken_at.year * 10000 + taken_at.month * 100 + taken_at.day


def study_time(taken_at: datetime) -> str:
    """HHMMSS.fff as the release spells it: a float, so leading zeros are lost ('12.0')."""
    whole = taken_at.hour * 10000 + taken_at.minute * 100 + taken_at.second
    return repr(whole + taken_at.microsecond // 1000 / 1000)


def require_studies(films: pl.DataFrame, studies: pl.DataFrame) -> None:
    """Refuse a film whose study is not listed, or a study listed twice."""
    if studies["study_id"].n_unique() != studies.height:
        raise ContractError("studies: a study_id occurs twice; give one row per study")
    orphans = films.join(studies, on=["subject_id", "study_id"], how="anti").height
    if orphans:
        raise ContractError(f"films: {orphans} of {films.height} have no study; add it to studies")


def plan_batches(
    root: Path,
    films: pl.DataFrame,
    paths: list[str],
    image_size: int,
    films_as: str,
    described: list[dict[str, Any]],
) -> list[Batch]:
    """The films as batches, in the order of their rows; ``described``: their metadata, if DICOM."""
    columns = ["anatomy_seed", "film_seed", "true_view", *(f"severity_{n}" for n in SEVERITIES)]
    rows = films.select(columns).iter_rows()
    planned = [
        Film(path, anatomy_seed, film_seed, view, tuple(severities))
        for path, (anatomy_seed, film_seed, view, *severities) in zip(paths, rows, strict=True)
    ]
    return [
        Batch(
            root,
            root / DONE / f"films-{start // FILMS_PER_BATCH:06d}.json",
            image_size,
            tuple(planned[start : start + FILMS_PER_BATCH]),
            films_as,
            tuple(described[start : start + FILMS_PER_BATCH]),
        )
        for start in range(0, len(planned), FILMS_PER_BATCH)
    ]


def remove_strangers(root: Path, paths: set[str], records: set[Path]) -> None:
    """Delete what an earlier run of other inputs left; only in a tree that such a run made."""
    if not (root / DONE).is_dir():
        return
    for record in (root / DONE).iterdir():
        if record not in records:
            record.unlink()
    for folder, kind in product(("files", FLAT_FOLDER), ("*.jpg*", "*.dcm*")):
        for film in (root / folder).rglob(kind):
            if film.relative_to(root).as_posix() not in paths:
                film.unlink()


def write_films(batches: list[Batch], workers: int) -> dict[str, str]:
    """Write every batch; each film's sha256. The bytes do not depend on ``workers``."""
    hashes: dict[str, str] = {}
    if not batches:
        return hashes
    with progress("films", sum(len(batch.films) for batch in batches), "films") as advance:
        for written in each_written(batches, workers):
            hashes |= written
            advance(len(written))
    return hashes


def each_written(batches: list[Batch], workers: int) -> Iterator[dict[str, str]]:
    """The hashes of each batch as it is finished."""
    if workers <= 1 or len(batches) == 1:
        yield from map(write_batch, batches)
        return
    count = min(workers, len(batches))
    spawn = get_context("spawn")
    with ProcessPoolExecutor(count, mp_context=spawn, initializer=leave_with_parent) as pool:
        try:
            for future in as_completed([pool.submit(write_batch, batch) for batch in batches]):
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def metadata_table(films: pl.DataFrame, studies: pl.DataFrame, image_size: int) -> pl.DataFrame:
    """One row per film. All films of a study share the study's date and time."""
    times = dict(studies.select("study_id", "taken_at").iter_rows())
    columns = ["dicom_id", "subject_id", "study_id", "view", "true_view", "film_seed"]
    rows = []
    for dicom_id, subject_id, study_id, view, true_view, film_seed in films.select(
        columns
    ).iter_rows():
        shape = film_shape(true_view, image_size, film_seed)
        recumbent = true_view == "AP" and generator(film_seed, 20).random() < 0.4
        procedure = "CHEST (PORTABLE AP)" if true_view == "AP" else "CHEST (PA AND LAT)"
        taken_at = times[study_id]
        rows.append(
            (
                *(dicom_id, subject_id, study_id, procedure, view, *shape),
                *(study_date(taken_at), study_time(taken_at), procedure),
                *(VIEW_MEANING.get(view), "Recumbent" if recumbent else "Erect"),
            )
        )
    types = {
        name: pl.Int64
        if name in ("subject_id", "study_id", "Rows", "Columns", "StudyDate")
        else pl.String
        for name in METADATA_COLUMNS
    }
    return pl.DataFrame(rows, schema=types, orient="row")


def split_table(films: pl.DataFrame, seed: int) -> pl.DataFrame:
    """train, validate or test; all films of a patient go together."""

    def assign(subject_id: int) -> str:
        draw = generator(seed, 21, subject_id).random()
        return "train" if draw < 0.94 else "validate" if draw < 0.97 else "test"

    splits = {subject_id: assign(subject_id) for subject_id in films["subject_id"].unique()}
    split = pl.Series(
        "split", [splits[subject_id] for subject_id in films["subject_id"]], pl.String
    )
    return films.select("dicom_id", "study_id", "subject_id").with_columns(split)


def label_table(studies: pl.DataFrame, prefix: str) -> pl.DataFrame:
    """One labeller's findings: 1.0 positive, 0.0 negative, -1.0 uncertain, blank not mentioned."""
    findings = [pl.col(prefix + name).cast(pl.Float64).alias(name) for name in FINDINGS]
    return studies.select("subject_id", "study_id", *findings)


def radiologist_table(studies: pl.DataFrame, split: pl.DataFrame) -> pl.DataFrame:
    """One reader on the test studies: the higher of both labelers. No patient is named."""
    tested = split.filter(split="test").select("study_id")
    findings = [
        pl.max_horizontal(name, f"negbio {name}")
        .cast(pl.Float64)
        .alias("Airspace Opacity" if name == "Lung Opacity" else name)
        for name in FINDINGS
    ]
    return studies.join(tested, on="study_id", how="semi").select("study_id", *findings)


def write_csv_gz(path: Path, table: pl.DataFrame) -> None:
    """Publish a table as gzip without a time or name in its header."""
    with (
        publish(path) as part,
        part.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as packed,
    ):
        packed.write(table.write_csv().encode())


def write_lines(path: Path, lines: list[str]) -> None:
    """Publish lines of text, each ended."""
    with publish(path) as part:
        part.write_text("".join(f"{line}\n" for line in lines))
