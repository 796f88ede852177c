"""Our own value of every measure that a paper's table may name.

<kind>/<split>/samples, patients; pair and stay also admissions, deaths; pair also stays (with a
pair) and mean gap hours; stay also with film, men percent, prevalence/<label>, last film <group>,
and mean/ and sd/<variable or age>. split/<split>/patients are all that were dealt. A split may be
total. stay/before films: stays of the cohort, whether or not
they have a film. Counts and means over patients: nothing of one patient.
"""

from pathlib import Path

import numpy as np
import polars as pl
from duckdb import DuckDBPyConnection

from cxrfuture_data.hourly import CONTINUOUS_NAMES, clip, impute
from cxrfuture_data.schema import KINDS, PHENOTYPES, VARIABLES, ContractError
from etl.ledger import read_ledger
from etl.params import Params
from etl.recipe import Recipe
from etl.sqlfile import bind_tables, open_sql, read_sql

Values = dict[str, float]
STAYS_BEFORE_FILMS = "no film up to the prediction time"


def measure(params: Params, recipe: Recipe) -> Values:
    """Needs cohort; the means of hourly values also window."""
    build = params.build(recipe.name)
    tables = {name: build / "cohort" / f"{name}.parquet" for name in (*KINDS, "split")}
    if not tables["pair"].exists():
        raise ContractError(
            f"{build}: no cohort yet; run `cxrfuture event`, `cohort` and `window` first,"
            " with the same recipe, fidelity and availability"
        )
    values: Values = {}
    with open_sql(params.sql, build / "check" / ".spill") as connection:
        bind_tables(connection, tables)
        for name in (*recipe.kinds, "split"):
            values |= _counts(connection, name)
        phenotypes = build / "cohort" / "phenotype.parquet"
        if phenotypes.exists():
            bind_tables(connection, {"phenotype": phenotypes})
            values |= _phenotypes(connection)
    for drop in read_ledger(build / "cohort"):
        if drop.reason == STAYS_BEFORE_FILMS:
            values["stay/before films"] = float(drop.before)
    if (build / "window" / "hourly.parquet").exists():
        values |= _hourly_means(build)
    return values


def _counts(connection: DuckDBPyConnection, table: str) -> Values:
    result = connection.execute(read_sql(f"reproduction/{table}").body)
    names = [column[0] for column in result.description or ()]
    return {
        f"{table}/{row[0]}/{name}": float(value)
        for row in result.fetchall()
        for name, value in zip(names[1:], row[1:], strict=True)
        if value is not None
    }


def _phenotypes(connection: DuckDBPyConnection) -> Values:
    """phenotype has a row a stay or admission: the ids it has in common with stay join it."""
    columns = {
        table: [row[0] for row in connection.execute(f"DESCRIBE {table}").fetchall()]
        for table in ("phenotype", "stay")
    }
    keys = [name for name in columns["phenotype"] if name not in PHENOTYPES]
    shared = ", ".join(f'"{key}"' for key in keys if key in columns["stay"])
    shares = ", ".join(f'AVG(COALESCE("{name}"::DOUBLE, 0))' for name in PHENOTYPES)
    rows = connection.execute(
        f"SELECT split, {shares} FROM stay LEFT JOIN phenotype USING ({shared}) GROUP BY split"
    ).fetchall()
    return {
        f"stay/{row[0]}/prevalence/{name}": share
        for row in rows
        for name, share in zip(PHENOTYPES, row[1:], strict=True)
    }


def _hourly_means(build: Path) -> Values:
    """Mean and deviation, over training stays, of each stay's mean of a variable.

    Values are clipped and imputed as a model reads them, 3.4 and 3.6 of specs ddl-cxr.
    """
    stays = pl.read_parquet(build / "cohort" / "stay.parquet").filter(pl.col("split") == "train")
    window = pl.read_parquet(build / "window" / "window.parquet", columns=["kind", "key", "hours"])
    measured = pl.read_parquet(build / "window" / "hourly.parquet")
    hours = window.filter(pl.col("kind") == "stay").join(stays, on="key", how="semi")
    names = [variable.name for variable in VARIABLES]
    grids = {
        key: np.full((length, len(names)), np.nan, dtype=np.float32)  # (T, 17)
        for key, length in hours.select("key", "hours").iter_rows()
        if length
    }
    for (key,), rows in measured.filter(pl.col("kind") == "stay").group_by("key"):
        if key in grids:
            grids[key][rows["hour"].to_numpy()] = rows.select(names).cast(pl.Float32).to_numpy()
    if len(grids) < 2:
        return {}
    means = np.array([impute(clip(grid))[0].mean(axis=0) for grid in grids.values()])
    values: Values = {}
    for position, name in enumerate(names):
        if name in CONTINUOUS_NAMES:
            values[f"stay/train/mean/{name}"] = float(means[:, position].mean())
            values[f"stay/train/sd/{name}"] = float(means[:, position].std(ddof=1))
    return values
