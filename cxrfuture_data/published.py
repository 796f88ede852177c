"""What published models read: the moments their authors ship, and the rule that made them.

Every number is an aggregate over the stays of thousands of patients, hours without a measurement
included (specs ddl-cxr 3.8, fusion-baselines 3.6).
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from cxrfuture_data.hourly import (
    COLUMNS,
    SCALED_NAMES,
    SMALLEST_STD,
    ColumnMoments,
    Columns,
    Hourly,
    HourlyInput,
    moments_of,
    scaled_columns,
)
from cxrfuture_data.manifest import WindowStatistics
from cxrfuture_data.schema import ContractError

Table = dict[str, tuple[float, float]]  # channel -> mean, standard deviation

# DDL-CXR, ldm/data/normalizers at d4733f2: dm_normalizer, of the windows of pairs and of
# generation.
DDL_CXR_PAIR: Table = {
    "Diastolic blood pressure": (61.106593596756845, 13.639511955860195),
    "Fraction inspired oxygen": (0.4330322906155444, 0.202784188130898),
    "Glucose": (142.23495193584398, 50.56181378516339),
    "Heart Rate": (88.8126452989182, 18.757293278730703),
    "Height": (169.51410342202627, 5.809025662734473),
    "Mean blood pressure": (76.20040208366619, 13.935473116037658),
    "Oxygen saturation": (96.8473106201431, 3.192702948150863),
    "Respiratory rate": (20.45779227963964, 5.967801265543411),
    "Systolic blood pressure": (116.28441867155158, 20.19589921014837),
    "Temperature": (36.99640491027444, 0.6037898464709884),
    "Weight": (81.29137234102723, 19.13729661903528),
    "pH": (7.270832757979703, 0.3825116425530125),
    "Age": (63.24685325827181, 16.603228691558183),
}

# The same folder: the normaliser of prediction, of the first 48 hours of training stays.
DDL_CXR_STAY: Table = {
    "Diastolic blood pressure": (61.97279082393369, 14.33591052097317),
    "Fraction inspired oxygen": (0.3861778814987775, 0.19333329921662815),
    "Glucose": (139.95103344191656, 50.468314199316104),
    "Heart Rate": (87.00061000907536, 18.439547067176722),
    "Height": (169.98006207053027, 1.0582394315281403),
    "Mean blood pressure": (76.94957498703559, 14.477306435883072),
    "Oxygen saturation": (96.79421909438636, 3.0427844852861843),
    "Respiratory rate": (19.822367269544976, 5.712975179804652),
    "Systolic blood pressure": (118.4327439076062, 20.833527173189033),
    "Temperature": (36.93422792687671, 0.5454347834053951),
    "Weight": (81.93962081940867, 20.228037621586175),
    "pH": (7.246669057111269, 0.4288509436034823),
    "Age": (63.87332263710618, 16.526776599649356),
}

# MIMIC-III benchmark, mimic3models/phenotyping/ph_ts1.0 (git blob db0fa96), which MedFuse and
# DrFuse ship unchanged. Outliers are in it.
MIMIC_III: Table = {
    "Diastolic blood pressure": (61.73746731237323, 221.89647947315552),
    "Fraction inspired oxygen": (0.2941986945120962, 0.1714931950435367),
    "Glucose": (140.38699662380586, 1766.7412133808477),
    "Heart Rate": (85.53853938464474, 57.11693013941011),
    "Height": (169.80350234321443, 6.222631784123813),
    "Mean blood pressure": (79.59640838796953, 148.53013549514117),
    "Oxygen saturation": (104.98108350952208, 5135.238732591619),
    "Respiratory rate": (19.867925156740334, 7.3213287278950965),
    "Systolic blood pressure": (122.3975667186341, 141.3988560835634),
    "Temperature": (36.94399135355236, 5.277914736088037),
    "Weight": (83.76208973419455, 27.233083363220278),
    "pH": (7.207267791681239, 1.6568268628593597),
}

# Rules of a recipe -> kind of sample -> what its authors' model reads.
TABLES: dict[str, dict[str, Table]] = {
    "ddl_cxr": {"pair": DDL_CXR_PAIR, "stay": DDL_CXR_STAY},
    "medfuse": {"stay": MIMIC_III},  # and DrFuse, whose rules these are
}


def hourly_input(recipe: Mapping[str, Any], kind: str, statistics: WindowStatistics) -> HourlyInput:
    """How the samples of a kind are read; ``recipe`` is the body that dataset.json keeps.

    In 79 columns and by the dataset's own statistics, whoever's cohort it is; where the recipe
    leaves ``training_normaliser`` uncorrected, in its authors' columns and by their moments.
    """
    table = TABLES.get(recipe["rules"], {}).get(kind)
    if table is None:
        return HourlyInput(COLUMNS, from_first_hour=False, moments=moments_of(statistics))
    has_patient = columns_of(table) == COLUMNS
    from_first_hour = has_patient and not _is_in_force(recipe, "age_and_sex_in_every_hour")
    if _is_in_force(recipe, "training_normaliser"):
        return HourlyInput(COLUMNS, from_first_hour, moments_of(statistics))
    # 0: nothing is put to 0; only MedFuse's rules, which are DrFuse's too, have the setting.
    zero_beyond = recipe["cohort"].get("zero_beyond", 0) or np.inf
    return HourlyInput(columns_of(table), from_first_hour, moments_from(table), zero_beyond)


def _is_in_force(recipe: Mapping[str, Any], correction: str) -> bool:
    return recipe["fidelity"] == "corrected" and correction in recipe["corrections"]


def columns_of(table: Table) -> Columns:
    """79 where age is among the moments, else 76."""
    return 79 if "Age" in table else 76


def moments_from(table: Table) -> ColumnMoments:
    """A table of moments as arrays."""
    found = np.array([table[name] for name in SCALED_NAMES if name in table])
    return ColumnMoments(mean=found[:, 0], std=found[:, 1])


def measure_moments(windows: Iterable[Hourly]) -> ColumnMoments:
    """The authors' rule for a normaliser. ``windows``: ``raw_vector`` of each, in float64.

    Over all hours, imputed ones included; standard deviation by n - 1, floored at 1e-7 (specs
    ddl-cxr 3.8). Sums are taken in the authors' order, window by window.
    """
    count = 0
    total = square = np.zeros(1)
    for raw in windows:
        total, square = total + raw.sum(axis=0), square + (raw**2).sum(axis=0)
        count += len(raw)
    if count < 2:
        raise ContractError(f"moments of {count} hours; they need the windows of training patients")
    at = scaled_columns(len(total))
    total, square = total[at], square[at]
    mean = 1.0 / count * total
    variance = 1.0 / (count - 1) * (square - 2.0 * total * mean + count * mean**2)
    # By rounding, the variance of a constant column may come out below 0.
    return ColumnMoments(mean, np.maximum(np.sqrt(np.maximum(variance, 0)), SMALLEST_STD))
