"""The ledger: what each filter removed, and why. It becomes the attrition table."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from cxrfuture_data.publish import write_json

LEDGER = "ledger.json"
STAGES = ("event", "cohort", "window", "image", "embed", "latent", "shard")


@dataclass(frozen=True)
class Drop:
    """One filter: of ``before`` units (films, stays, pairs), ``removed`` went for ``reason``."""

    stage: str
    unit: str
    reason: str
    before: int
    removed: int

    @property
    def after(self) -> int:
        return self.before - self.removed


def write_ledger(folder: Path, drops: Iterable[Drop]) -> None:
    """Publish ``ledger.json`` in a stage's folder, in the order the filters ran."""
    write_json(folder / LEDGER, [asdict(drop) | {"after": drop.after} for drop in drops])


def read_ledger(folder: Path) -> list[Drop]:
    """The drops of a stage; empty if it filtered nothing."""
    path = folder / LEDGER
    if not path.exists():
        return []
    rows = json.loads(path.read_text())
    return [Drop(**{key: row[key] for key in Drop.__dataclass_fields__}) for row in rows]


def read_ledgers(folder: Path) -> list[Drop]:
    """The drops of all stages below build/<recipe> that have run, in the order they ran."""
    return [drop for stage in STAGES for drop in read_ledger(folder / stage)]
