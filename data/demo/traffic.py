"""How the demo's units drive: along the roads, at every crossing a turn, seldom back. Metres, EPSG:4547."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import shapely

from data.demo import shapes
from data.demo.lattice import SPEED_KMH, Ground

_FLOW = 0.55  # of the speed limit: lights and traffic
ROAM_M = 3_000.0  # how far a unit goes from where it started


class Roads:
    """The road graph as somebody drives it."""

    def __init__(self, ground: Ground) -> None:
        self.nodes = ground.nodes
        self._tree = shapely.STRtree(shapes.points(ground.nodes))
        self._next: list[list[tuple[int, float]]] = [[] for _ in range(len(ground.nodes))]
        for (start, end), road_class in zip(ground.edges.tolist(), ground.road_class.tolist(), strict=True):
            speed_m_s = SPEED_KMH[road_class] / 3.6 * _FLOW
            self._next[start].append((end, speed_m_s))
            self._next[end].append((start, speed_m_s))

    def crossing(self, place: np.ndarray) -> int:
        """The crossing nearest to a point (x, y)."""
        return int(self._tree.nearest(shapely.Point(place)))

    def legs(self, rng: np.random.Generator, start: int) -> Iterator[tuple[np.ndarray, float]]:
        """Crossings (x, y) one after the other, with the seconds it takes from the one before; without end, near the start."""
        before, here = -1, start
        yield self.nodes[start], 0.0
        while True:
            near = [way for way in self._next[here] if np.hypot(*(self.nodes[way[0]] - self.nodes[start])) < ROAM_M]
            ways = [way for way in near if way[0] != before] or self._next[here]
            there, speed_m_s = ways[int(rng.integers(len(ways)))]
            before, here = here, there
            yield self.nodes[here], float(np.hypot(*(self.nodes[here] - self.nodes[before]))) / speed_m_s

    def way(self, rng: np.random.Generator, start: int, duration_s: float) -> tuple[np.ndarray, np.ndarray]:
        """A drive of at least `duration_s`: (n, 2) crossings and (n,) seconds since the start."""
        places, at_s, clock_s = [], [], 0.0
        for place, takes_s in self.legs(rng, start):
            clock_s += takes_s
            places.append(place)
            at_s.append(clock_s)
            if clock_s >= duration_s:
                break
        return np.array(places), np.array(at_s)
