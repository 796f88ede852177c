"""Events and outcomes of recipe ``future`` as MEDS 0.4 (specs peers 1.2, 3.6).

The whole record of every patient of the cohort, from the ingested tables, and the cohort's outcomes
as labels. Each file is held to the schema of the package ``meds`` before it appears.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from duckdb import DuckDBPyConnection
from meds.schema import CodeMetadataSchema, DataSchema, DatasetMetadataSchema, SubjectSplitSchema

from cxrfuture_data.console import progress, say
from cxrfuture_data.publish import publish, write_json
from cxrfuture_data.schema import ContractError
from etl.ledger import Drop, write_ledger
from etl.meds_label import SPLIT_NAMES, count_missing, label_tables
from etl.params import Params
from etl.recipe import Recipe
from etl.shard_facts import licence, read_json, simulated
from etl.shard_rows import read_table
from etl.source_block import arrow_schema
from etl.sqlfile import bind_tables, create_table, open_sql, read_sql, scan

# What gives events, and the tables each reads. Events of one time stand in this order.
SOURCES: dict[str, tuple[str, ...]] = {
    "gender": ("patients",),
    "race": ("admissions",),
    "birth": ("patients",),
    "admission": ("admissions",),
    "icu_stay": ("icustays",),
    "transfer": ("transfers",),
    "service": ("services",),
    "lab": ("labevents", "admissions"),
    "chart": ("chartevents",),
    "output": ("outputevents",),
    "infusion": ("inputevents",),
    "procedure": ("procedureevents",),
    "medication": ("prescriptions",),
    "administration": ("emar",),
    "microbiology": ("microbiologyevents", "admissions"),
    "outpatient": ("omr",),
    "film": ("cxr_metadata",),
    "finding": ("cxr_metadata",),
    "procedure_icd": ("procedures_icd", "admissions"),
    "diagnosis": ("diagnoses_icd", "admissions"),
    "death": ("patients", "admissions"),
}
DICTIONARIES = ("d_items", "d_labitems", "d_icd_diagnoses", "d_icd_procedures")
SUBJECTS_PER_SHARD = 256
ROWS_PER_GROUP = 1 << 17


@dataclass(frozen=True)
class Writer:
    """Where the events of a recipe's cohort come from and go to."""

    connection: DuckDBPyConnection
    recipe: Recipe
    tables: dict[str, Path]
    out: Path

    @property
    def sources(self) -> list[str]:
        """The names of SOURCES whose tables are ingested."""
        return [name for name, tables in SOURCES.items() if self.tables.keys() >= set(tables)]

    def bind_subjects(self, first: int, last: int) -> None:
        """Make the rows of these patients, both ends included, readable under their tables."""
        for name, path in self.tables.items():
            rows = f"SELECT * FROM {scan(path)}"
            if "subject_id" in pq.read_schema(path).names:
                rows += f" WHERE subject_id BETWEEN {first} AND {last}"
                rows += " AND subject_id IN (SELECT subject_id FROM split)"
            self.connection.execute(f'CREATE OR REPLACE TEMP VIEW "{name}" AS {rows}')

    def record(self) -> dict[tuple[str, str | None], int]:
        """Fill ``recorded`` from every source; rows by source and the reason they go for."""
        self.connection.execute("DROP TABLE IF EXISTS taken_film")
        create_table(self.connection, "taken_film", "cohort/taken_film", self.recipe.parameters)
        bodies = []
        parameters = set()
        for place, name in enumerate(self.sources):
            sql = read_sql(f"export/meds/{name}")
            parameters |= sql.parameters
            bodies.append(f"SELECT {place} AS place, * FROM (\n{sql.body}\n)")
        query = "\nUNION ALL\n".join(bodies)
        bound = {name: self.recipe.parameters[name] for name in sorted(parameters)}
        self.connection.execute(f"CREATE OR REPLACE TEMP TABLE recorded AS {query}", bound)
        rows = self.connection.execute(
            "SELECT place, drop_reason, COUNT(*) FROM recorded GROUP BY ALL"
        ).fetchall()
        return {(self.sources[place], reason): count for place, reason, count in rows}

    def events(self, split: str) -> pa.Table:
        """The kept events of ``recorded`` for patients of a split, in the order of MEDS."""
        sql = read_sql("export/meds/event")
        bound = {"availability": self.recipe.availability, "split": split}
        query = f"{sql.body}\nORDER BY {sql.order}"
        return self.connection.sql(query, params=bound).to_arrow_table()


def export(params: Params, recipe: Recipe, out: Path) -> list[Path]:
    """Write data/, metadata/, labels/ and ledger.json below ``out``; returns the files."""
    if "stay" not in recipe.kinds:
        raise ContractError(f"recipe {recipe.name} has no stays to label; add stay to its kinds")
    folder = params.build(recipe.name, "cohort")
    subjects = read_table(folder / "split.parquet").sort("subject_id")
    with open_sql(params.sql, out / ".spill") as connection:
        tables = _tables(params, recipe)
        bind_tables(connection, {"split": folder / "split.parquet"})
        writer = Writer(connection, recipe, tables, out)
        paths, drops = _write_events(writer, subjects["subject_id"].to_list())
        _refuse_others(out, paths)
        paths.append(_write_codes(connection, params, paths, out))
    splits = pa.table(
        {
            "subject_id": subjects["subject_id"].to_list(),
            "split": [SPLIT_NAMES[split] for split in subjects["split"]],
        }
    )
    paths.append(write_meds(out / "metadata/subject_splits.parquet", splits, SubjectSplitSchema))
    for name, (table, schema) in label_tables(folder).items():
        paths.append(write_meds(out / "labels" / name, table, schema))
    drops += count_missing(folder)
    paths.append(_write_facts(params, out))
    write_ledger(out, drops)
    _say_dropped(recipe, drops)
    return [*paths, out / "ledger.json"]


def write_meds(path: Path, table: pa.Table, schema: type) -> Path:
    """Publish a table in the types and the order of columns that a schema of MEDS asks for."""
    aligned = schema.align(table)  # type: ignore[attr-defined]
    schema.validate(aligned)  # type: ignore[attr-defined]
    with publish(path) as part:
        pq.write_table(aligned, part, compression="zstd", row_group_size=ROWS_PER_GROUP)
    return path


def _tables(params: Params, recipe: Recipe) -> dict[str, Path]:
    """The ingested tables that sources read, as far as they are there."""
    names = {table for tables in SOURCES.values() for table in tables}
    paths = {name: params.build("ingest", f"{name}.parquet") for name in sorted(names)}
    tables = {name: path for name, path in paths.items() if path.exists()}
    labeler = f"cxr_{recipe.labels.findings}"
    return tables | {"cxr_finding": params.build("ingest", f"{labeler}.parquet")}


def _write_events(writer: Writer, subjects: list[int]) -> tuple[list[Path], list[Drop]]:
    """data/<split>/<n>.parquet, n counting SUBJECTS_PER_SHARD patients of the cohort at a time."""
    paths = []
    counts: dict[tuple[str, str | None], int] = {}
    with progress("export meds", len(subjects), "patients") as advance:
        for number, some in enumerate(_slices(subjects)):
            writer.bind_subjects(some[0], some[-1])
            for key, count in writer.record().items():
                counts[key] = counts.get(key, 0) + count
            for split, name in SPLIT_NAMES.items():
                events = writer.events(split)
                if events.num_rows:
                    path = writer.out / "data" / name / f"{number}.parquet"
                    paths.append(write_meds(path, events, DataSchema))
            advance(len(some))
    return paths, _drops(writer.sources, counts)


def _slices(subjects: list[int]) -> Iterator[list[int]]:
    for start in range(0, len(subjects), SUBJECTS_PER_SHARD):
        yield subjects[start : start + SUBJECTS_PER_SHARD]


def _drops(sources: list[str], counts: dict[tuple[str, str | None], int]) -> list[Drop]:
    drops = []
    for name in sources:
        before = sum(count for (source, _), count in counts.items() if source == name)
        for reason in read_sql(f"export/meds/{name}").reasons or _film_reasons(name):
            removed = counts.get((name, reason), 0)
            drops.append(
                Drop("export", f"{name.replace('_', ' ')} event", reason[3:], before, removed)
            )
            before -= removed
    return drops


def _film_reasons(name: str) -> list[str]:
    """Films go for the reasons of the cohort's own file."""
    return read_sql("cohort/taken_film").reasons if name == "film" else []


def _refuse_others(out: Path, paths: list[Path]) -> None:
    """Readers of MEDS take every Parquet below data/."""
    for path in sorted((out / "data").rglob("*.parquet")):
        if path not in paths:
            raise ContractError(f"{path} is of another export; remove {out} and export again")


def _write_codes(
    connection: DuckDBPyConnection, params: Params, paths: list[Path], out: Path
) -> Path:
    """metadata/codes.parquet: every code of the data, with the text of its dictionary."""
    for name in DICTIONARIES:
        path = params.build("ingest", f"{name}.parquet")
        if path.exists():
            bind_tables(connection, {name: path})
        else:
            connection.register(name, arrow_schema(name).empty_table())
    files = [str(path) for path in paths]
    connection.read_parquet(files).select("code").distinct().create("used_code")
    sql = read_sql("export/meds/code")
    codes = connection.sql(f"{sql.body}\nORDER BY {sql.order}").to_arrow_table()
    return write_meds(out / "metadata" / "codes.parquet", codes, CodeMetadataSchema)


def _write_facts(params: Params, out: Path) -> Path:
    """metadata/dataset.json. It names no time of creation: the same input gives the same bytes."""
    source = read_json(params.build("ingest", "source.json"))
    tables, films = (source[name]["version"] for name in ("mimic_iv", "mimic_cxr_jpg"))
    invented = [name for name, is_simulated in simulated(source).items() if is_simulated]
    facts = {
        "dataset_name": "MIMIC-IV with MIMIC-CXR-JPG"
        + (f" (simulated: {' and '.join(invented)})" if invented else ""),
        "dataset_version": f"MIMIC-IV {tables}, MIMIC-CXR-JPG {films}",
        "etl_name": "cxrfuture",
        "etl_version": version("cxrfuture"),
        "meds_version": version("meds"),
        "license": licence(source),
        "raw_source_id_columns": ["hadm_id"],
        "other_extension_columns": ["event_at"],
    }
    DatasetMetadataSchema.validate(facts)
    write_json(out / "metadata" / "dataset.json", facts)
    return out / "metadata" / "dataset.json"


def _say_dropped(recipe: Recipe, drops: list[Drop]) -> None:
    removed = sum(drop.removed for drop in drops)
    say(f"export: {recipe.name}: ledger.json counts {removed:,} rows and outcomes left out")
