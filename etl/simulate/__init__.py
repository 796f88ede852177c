"""`cxrfuture simulate`: a hospital shaped like MIMIC, of any size, from a seed.

Tables and films follow from hidden findings whose truth is kept apart (truth/). The same options
give the same bytes. A tree that exists can be filmed instead: then only films are invented.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from cxrfuture_data.console import progress, say
from cxrfuture_data.publish import digest, publish, read_done, write_done, write_json
from cxrfuture_data.schema import ContractError
from etl.params import SIMULATED, Params
from etl.simulate.chart import chart_rows
from etl.simulate.course import FINDING_NAMES
from etl.simulate.cxr import write_cxr_tree
from etl.simulate.draw import Array, Draw
from etl.simulate.existing import build_existing, open_existing
from etl.simulate.film import FORMS, JPG
from etl.simulate.film_plan import film_rows, plan_studies, portable_hours
from etl.simulate.hosp import (
    admission_rows,
    code_rows,
    dictionary_rows,
    omr_rows,
    patient_rows,
    service_rows,
    transfer_rows,
)
from etl.simulate.hospital import Hospital, Ids, build_hospital
from etl.simulate.icu import caregiver_rows, icustay_rows, input_rows, item_rows, output_rows
from etl.simulate.lab import lab_rows
from etl.simulate.micro import micro_rows
from etl.simulate.order import order_rows
from etl.simulate.procedure import datetime_rows, procedure_rows
from etl.simulate.report import write_report_tree
from etl.simulate.writer import TreeWriter, open_tree
from etl.sources import MARKER, find_release
from etl.version_schema import MIMIC_IV

VERSION = 3
VERSIONS = {"version": ("2.0", "2.2", "3.0", "3.1"), "cxr_version": ("2.0.0", "2.1.0")}
RECORD = "simulation.json"


@dataclass(frozen=True, kw_only=True)
class SimulateOptions:
    """What to make. ``mimic_iv_from``: film this tree and make no tables."""

    out: Path
    patients: int
    seed: int
    image_size: int
    mimic_iv_from: Path | None = None
    films: bool = True
    render: bool = True
    """False: the CSVs of the films, but no film."""
    films_as: str = JPG
    """jpg, as MIMIC-CXR-JPG; resized or flat, of half the size; dicom, as MIMIC-CXR."""
    version: str = "3.1"
    """Of MIMIC-IV: 2.0, 2.2, 3.0 or 3.1. The same patients and events in the columns of each."""
    cxr_version: str = "2.1.0"
    """Of MIMIC-CXR-JPG: 2.0.0 or 2.1.0."""
    workers: int = 1
    patients_per_group: int = 48
    """Bounds memory; the bytes do not depend on it."""


def run(params: Params) -> None:
    """The stage: whatever of the two datasets params.paths leaves to be simulated."""
    paths, out = params.paths, params.build("simulate")
    real_tables, real_films = paths.mimic_iv != SIMULATED, paths.mimic_cxr_jpg != SIMULATED
    if real_tables and real_films:
        say("simulate: both datasets are given, nothing to simulate")
        made_from = digest("nothing", VERSION)
        if read_done(out / RECORD, made_from) is None:
            write_done(out / RECORD, made_from, {"tables": False, "films": False, "rows": {}})
        return
    simulate(
        SimulateOptions(
            out=out,
            patients=params.simulate.patients,
            seed=params.simulate.seed,
            image_size=params.simulate.image_size,
            mimic_iv_from=Path(paths.mimic_iv) if real_tables else None,
            films=not real_films,
            films_as=params.simulate.films_as,
            version=params.simulate.version,
            cxr_version=params.simulate.cxr_version,
            workers=params.image.workers,
        )
    )


def simulate(options: SimulateOptions) -> None:
    """Make the trees below ``options.out``; the record comes last."""
    for name, allowed in {"films_as": FORMS, **VERSIONS}.items():
        if getattr(options, name) not in allowed:
            found = getattr(options, name)
            raise ContractError(f"{name} is one of {', '.join(allowed)}, found {found!r}")
    made_from = _made_from(options)
    record = options.out / RECORD
    if read_done(record, made_from) is not None:
        say(f"simulate: {options.out} is up to date")
        return
    record.unlink(missing_ok=True)
    tables, cxr = options.out / "mimic-iv", options.out / "mimic-cxr-jpg"
    rows: dict[str, int] = {}
    if options.mimic_iv_from is None:
        _claim(tables, options, options.version)
        films, studies, rows = _write_tables(tables, options)
    else:
        ids, tree = Ids(options.seed), open_existing(options.mimic_iv_from, options.patients)
        kind = "simulated" if tree.simulated else "REAL"
        say(f"simulate: {kind} tables of {options.mimic_iv_from} get SIMULATED films")
        hospital = build_existing(tree, Draw(options.seed), ids)
        films, studies = film_rows(hospital, plan_studies(hospital, portable_hours(hospital)))
    if options.films:
        _claim(cxr, options, options.cxr_version)
        write_cxr_tree(
            *(cxr, films, studies, options.image_size, options.seed, options.workers),
            render=options.render,
            films_as=options.films_as,
            version=options.cxr_version,
        )
        reports = options.out / "mimic-cxr-reports"
        _claim(reports, options, options.cxr_version)
        write_report_tree(reports, films)
        rows |= {"films": films.height, "studies": studies.height}
        _write_truth(options.out / "truth" / "film.parquet", films)
    write_done(
        record,
        made_from,
        {
            "tables": options.mimic_iv_from is None,
            "films": options.films,
            "patients": options.patients,
            "seed": options.seed,
            "image_size": options.image_size,
            "rendered": options.render,
            **_form(options),
            "rows": rows,
        },
    )


def _made_from(options: SimulateOptions) -> str:
    source: list[object] = []
    if options.mimic_iv_from is not None:
        # Asked at every repro: the files alone say whether the films are up to date.
        for name, path in sorted(find_release("mimic_iv", options.mimic_iv_from).tables.items()):
            stat = path.stat()
            source.append((name, stat.st_size, stat.st_mtime_ns))
    facts = (options.patients, options.seed, options.image_size, options.films, options.render)
    return digest("simulate", VERSION, facts, source, *_form(options).items())


def _form(options: SimulateOptions) -> dict[str, str]:
    """How it is written, where that is not as the newest MIMIC-IV and MIMIC-CXR-JPG are."""
    usual = {"films_as": JPG, "version": "3.1", "cxr_version": "2.1.0"}
    chosen = {name: str(getattr(options, name)) for name in usual}
    return {name: value for name, value in chosen.items() if value != usual[name]}


def _claim(root: Path, options: SimulateOptions, version: str) -> None:
    """Mark a tree as simulated before anything is in it; never write into somebody's data."""
    marker = root / MARKER
    if root.exists() and any(root.iterdir()) and not marker.exists():
        raise ContractError(f"{root}: holds data that is not simulated; choose another --out")
    write_json(marker, {"seed": options.seed, "patients": options.patients, "version": version})


def _write_tables(
    root: Path, options: SimulateOptions
) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, int]]:
    """Every table of MIMIC-IV, group by group; returns the planned films and studies."""
    draw, ids = Draw(options.seed), Ids(options.seed)
    films, studies = [], []
    with (
        open_tree(root, MIMIC_IV[options.version]) as tree,
        progress("simulate", options.patients, "patients") as advance,
    ):
        for name, frame in _dictionaries():
            tree.append(name, frame)
        for first in range(0, options.patients, options.patients_per_group):
            count = min(options.patients_per_group, options.patients - first)
            hospital = build_hospital(first, count, options.patients, draw, ids)
            portables = portable_hours(hospital)
            _append_group(tree, hospital, portables)
            film, study = film_rows(hospital, plan_studies(hospital, portables))
            films.append(film)
            studies.append(study)
            advance(count, f"{sum(tree.rows.values()):,} rows")
    return pl.concat(films), pl.concat(studies), tree.rows


def _dictionaries() -> Iterator[tuple[str, pl.DataFrame]]:
    yield "d_items", item_rows()
    yield "caregiver", caregiver_rows()
    yield from dictionary_rows().items()


def _append_group(tree: TreeWriter, hospital: Hospital, portables: Array) -> None:
    """One group's rows, table after table. ``portables``: hours with a film at the bedside."""
    inputs, ingredients = input_rows(hospital)
    frames = {
        "patients": patient_rows(hospital),
        "admissions": admission_rows(hospital),
        "transfers": transfer_rows(hospital),
        "services": service_rows(hospital),
        "omr": omr_rows(hospital),
        **code_rows(hospital),
        "labevents": lab_rows(hospital),
        "microbiologyevents": micro_rows(hospital),
        **order_rows(hospital, portables),
        "icustays": icustay_rows(hospital),
        "chartevents": chart_rows(hospital),
        "inputevents": inputs,
        "ingredientevents": ingredients,
        "outputevents": output_rows(hospital),
        "procedureevents": procedure_rows(hospital, portables),
        "datetimeevents": datetime_rows(hospital),
    }
    for name, frame in frames.items():
        tree.append(name, frame)


def _write_truth(path: Path, films: pl.DataFrame) -> None:
    """The findings each film was rendered from. No stage of the pipeline reads this."""
    columns = [f"severity_{finding}" for finding in FINDING_NAMES]
    with publish(path) as part:
        films.select(
            "subject_id", "study_id", "dicom_id", "taken_at", "view", "true_view", *columns
        ).write_parquet(part)
