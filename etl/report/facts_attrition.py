"""Attrition: what each filter removed, and why."""

import re
from collections.abc import Sequence

from cxrfuture_data.manifest import DropRow
from etl.ledger import Drop
from etl.report.facts import Flow, Section
from etl.report.material import Material


def describe_attrition(material: Material) -> Section | None:
    flows = flows_of(material.manifest.attrition)
    if not flows:
        return None
    return Section(
        "attrition",
        "Attrition",
        [
            "What every filter removed, in the order in which they ran, from the ledgers that the"
            " stages keep: a flow for each unit that was counted. A filter that removed nothing is"
            " shown too.",
            "Look for a filter that takes more than you would expect: it is the first place where"
            " a wrong path or an incomplete download shows.",
        ],
        flows,
    )


def flows_of(drops: Sequence[DropRow]) -> list[Flow]:
    """A flow of filters that met the rows of one unit one after another. Where a count of the same
    unit begins anew, so does a flow, named after its stage."""
    chains: dict[str, list[Drop]] = {}
    current: dict[str, str] = {}
    for drop in drops:
        name = current.get(drop.unit)
        if name is None or chains[name][-1].after != drop.before:
            name = drop.unit if name is None else f"{drop.unit}, {drop.stage}"
            while name in chains:
                name += " again"
            current[drop.unit] = name
            chains[name] = []
        chains[name].append(Drop(**drop.model_dump(exclude={"after"})))
    return [
        Flow("flow_" + re.sub(r"\W+", "_", name), name, filters) for name, filters in chains.items()
    ]
