"""Attrition that may be shown: filters that removed few are told with their neighbours."""

from collections.abc import Sequence

from cxrfuture_data.page.shareable import HIDDEN, SMALL, SMALLEST
from etl.ledger import Drop
from etl.report.facts import Flow
from etl.report.sheet import LARGEST_SMALL, Counted, are_alike, is_small
from etl.report.shown import Chain, Chains, Hidden, Step, split_chains


def hide_flows(
    flows: Sequence[Flow], counted: frozenset[Counted]
) -> tuple[list[Chains], frozenset[Counted]]:
    """The flows without what is small; and what other tables must hide with them.

    What is ``counted`` is hidden elsewhere, and so it is here.
    """
    chains = {flow.key: split_chains(flow) for flow in flows}
    starts = frozenset(
        (one.unit, one.filters[0].before)
        for found in chains.values()
        for one in found
        if _is_open(one.filters) and one.filters[0].before >= SMALLEST
    )
    shown = []
    for flow in flows:
        known = counted | starts
        gone = frozenset(value for unit, value in known if are_alike(unit, flow.unit))
        shown.append(
            Chains(flow.key, flow.unit, [hide_chain(one, gone) for one in chains[flow.key]])
        )
    return shown, starts


def _removed(filters: Sequence[Drop]) -> int:
    return sum(one.removed for one in filters)


def _is_open(filters: Sequence[Drop]) -> bool:
    """Whether they removed too little together for each to have removed any small number."""
    removing = sum(one.removed > 0 for one in filters)
    removed = _removed(filters)
    return is_small(removed) or 0 < removed < LARGEST_SMALL + removing - 1


def hide_chain(flow: Flow, gone: frozenset[int] = frozenset()) -> Chain:
    """One chain of filters, without the counts of ``gone``. If all of it removed few, what came to
    it is hidden."""
    first = flow.filters[0].before
    if _is_open(flow.filters):
        gone |= {first}
    before, shown_before = first, _hide_count(first, gone)
    steps = []
    for group in group_filters(flow.filters):
        removed = _removed(group)
        shown = _hide_count(before - removed, gone)
        is_told = isinstance(shown_before, Hidden) or isinstance(shown, Hidden)
        words = Hidden(SMALL if is_small(removed) else HIDDEN)
        is_hidden = removed and (is_told or _is_open(group))
        reasons = [one.reason for one in group]
        steps.append(Step(group[0].stage, reasons, words if is_hidden else removed, shown))
        before, shown_before = before - removed, shown
    return Chain(_hide_count(first, gone), steps)


def _hide_count(count: int, gone: frozenset[int]) -> int | Hidden:
    if is_small(count):
        return Hidden(SMALL)
    return Hidden(HIDDEN) if count in gone else count


def group_filters(filters: Sequence[Drop]) -> list[list[Drop]]:
    """Neighbours together until they removed SMALLEST, the last with those before it. What removed
    nothing stands alone, before the group that it is within."""
    groups: list[list[Drop]] = []
    for one in filters:
        is_open = bool(groups) and _is_open(groups[-1])
        if not is_open:
            groups.append([one])
        elif one.removed:
            groups[-1].append(one)
        else:
            groups.insert(-1, [one])
    if groups and _is_open(groups[-1]):
        full = [i for i, group in enumerate(groups[:-1]) if _removed(group)]
        if full:
            last = groups.pop()
            groups[full[-1] :] = [*groups[full[-1] + 1 :], groups[full[-1]] + last]
    return groups
