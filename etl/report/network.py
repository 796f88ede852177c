"""Sums as a network: which counts must be hidden with a small one, so that it does not follow.

A count is an arc and each sum a node: raising a count pushes a unit along its arc, and what comes
into a node goes out of it. Hidden arcs can carry any unit that leaves their counts possible. A
count can then be another exactly if the hidden arcs carry the difference back (Castro, "A
shortest-paths heuristic for statistical data protection in positive tables", INFORMS J. Computing
19 (2007), section 3). Where they cannot, the arcs of the cheapest way back are hidden too.
"""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

# known: from elsewhere, and cannot be hidden; free: shown nowhere, and any number.
State = Literal["shown", "hidden", "known", "free"]
MUCH = 10**12
PRICE = 10**6  # of hiding one more count; its value is added, so that small ones are hidden first


@dataclass
class Arc:
    """``top``: it is known to be no more."""

    tail: int
    head: int
    value: int
    state: State
    top: int = MUCH


@dataclass
class Network:
    """``floor``: a hidden count is known to be no less."""

    nodes: int
    arcs: list[Arc] = field(default_factory=list)
    floor: int = 1

    def add(self, arc: Arc) -> int:
        """The arc's number."""
        self.arcs.append(arc)
        return len(self.arcs) - 1

    def protect(self, index: int, up: int, down: int, *, may_hide: bool = True) -> bool:
        """Hide what is needed so that the arc could be ``up`` more and ``down`` less; whether it
        can be."""
        arc = self.arcs[index]
        return self._push(arc.head, arc.tail, up, index, may_hide=may_hide) and self._push(
            arc.tail, arc.head, down, index, may_hide=may_hide
        )

    def _push(self, start: int, end: int, units: int, but: int, *, may_hide: bool) -> bool:
        """So many units from node to node, by other arcs than one."""
        moved = [0] * len(self.arcs)
        ways = self._ways()
        chosen: set[int] = set()
        while units > 0:
            path = self._cheapest(ways, (start, end), moved, {but}, chosen, may_hide=may_hide)
            if path is None:
                return False
            step = min(units, min(self._room(i, sign, moved) for i, sign in path))
            for i, sign in path:
                moved[i] += sign * step
                chosen.add(i)
            units -= step
        for i in chosen:
            if self.arcs[i].state == "shown":
                self.arcs[i].state = "hidden"
        return True

    def _ways(self) -> list[list[tuple[int, int, int]]]:
        """Of each node: arc, +1 along it or -1 against it, and where that leads."""
        ways: list[list[tuple[int, int, int]]] = [[] for _ in range(self.nodes)]
        for i, arc in enumerate(self.arcs):
            if arc.state != "known":
                ways[arc.tail].append((i, 1, arc.head))
                ways[arc.head].append((i, -1, arc.tail))
        return ways

    def _room(self, index: int, sign: int, moved: list[int]) -> int:
        """How far a count can go up or down."""
        arc = self.arcs[index]
        if arc.state == "free":
            return MUCH
        now = arc.value + moved[index]
        return arc.top - now if sign > 0 else now - self.floor

    def _cheapest(
        self,
        ways: list[list[tuple[int, int, int]]],
        ends: tuple[int, int],
        moved: list[int],
        closed: set[int],
        chosen: set[int],
        *,
        may_hide: bool,
    ) -> list[tuple[int, int]] | None:
        """Arcs and directions of the path that hides least; None: there is none."""
        start, end = ends
        reached: dict[int, tuple[int, int, int]] = {}  # node -> arc, direction, node before
        costs, queue, done = {start: 0}, [(0, start)], set[int]()
        while queue:
            cost, node = heapq.heappop(queue)
            if node in done:
                continue
            done.add(node)
            if node == end:
                return _walk_back(reached, start, end)
            for i, sign, to in ways[node]:
                is_new = self.arcs[i].state == "shown" and i not in chosen
                if i in closed or (is_new and not (may_hide and self.arcs[i].value)):
                    continue
                price = cost + (PRICE + self.arcs[i].value if is_new else 1)
                if price < costs.get(to, MUCH * MUCH) and self._room(i, sign, moved) > 0:
                    costs[to] = price
                    reached[to] = (i, sign, node)
                    heapq.heappush(queue, (price, to))
        return None

    def hide(self, indices: Iterable[int]) -> None:
        """Those that are shown."""
        for i in indices:
            if self.arcs[i].state == "shown":
                self.arcs[i].state = "hidden"


def _walk_back(
    reached: dict[int, tuple[int, int, int]], start: int, end: int
) -> list[tuple[int, int]]:
    path, node = [], end
    while node != start:
        i, sign, node = reached[node]
        path.append((i, sign))
    return path
