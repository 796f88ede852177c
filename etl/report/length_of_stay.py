"""How long samples' patients stayed, from the cohort's table of stays."""

import numpy as np
import polars as pl

from cxrfuture_data.sample import Array
from etl.report.material import WINDOWED, Material
from etl.report.tally import BySplit

SECONDS_A_DAY = 86_400


def stay_days(material: Material, kind: str) -> dict[str, BySplit]:
    """Days in hospital and in the ICU of each sample, NaN where not known; nothing of a recipe
    whose cohort has no such table."""
    path = material.path("cohort", "all_stay.parquet")
    if kind not in WINDOWED or not path.exists():
        return {}
    stays = pl.read_parquet(path)
    return {
        "Days in hospital": _days(material, kind, stays, ("hadm_id", "admittime", "dischtime")),
        "Days in the ICU": _days(material, kind, stays, ("stay_id", "intime", "outtime")),
    }


def _days(
    material: Material, kind: str, stays: pl.DataFrame, names: tuple[str, str, str]
) -> dict[str, Array]:
    """``names``: the id, and the times of begin and end."""
    key, begin, end = names
    known = stays.filter(pl.col(key).is_not_null()).unique(key, keep="first", maintain_order=True)
    seconds = (known[end] - known[begin]).dt.total_seconds()
    lengths = pl.DataFrame({key: known[key], "days": seconds / SECONDS_A_DAY})
    return {
        split: pl.DataFrame({key: np.ascontiguousarray(column)})
        .join(lengths, on=key, how="left", maintain_order="left")["days"]
        .cast(pl.Float64)
        .fill_null(float("nan"))
        .to_numpy()
        for split, column in material.of(kind, key).items()
    }
