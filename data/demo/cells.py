"""Grid cells of the demo campuses: near-squares in rows from the front to the back that tile each campus exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely

from data.demo import shapes
from data.demo.sites import Sites

CELL_M = 44.5  # the longest side; gives about 26,000 cells in the full city


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """One row a cell, in order of the schools: school index, number within the school from 1, polygon in metres."""

    school: np.ndarray
    number: np.ndarray
    shape: np.ndarray

    def ids_of(self) -> dict[int, list[int]]:
        """School id to the ids of its cells."""
        cuts = np.flatnonzero(np.diff(self.school)) + 1
        ids = np.arange(1, len(self.school) + 1)
        return {int(self.school[part[0] - 1]) + 1: part.tolist() for part in np.split(ids, cuts)}


def cells(sites: Sites, campus: np.ndarray) -> Cells:
    """Cut every campus into cells of at most CELL_M a side.

    The lines of one direction are straight across the campus, so neighbours share their edges; only the cell at a cut
    corner is clipped.
    """
    parts = np.ceil(sites.size_m / CELL_M).astype(int)
    school: list[np.ndarray] = []
    number: list[np.ndarray] = []
    shape: list[np.ndarray] = []
    for across, deep in np.unique(parts, axis=0).tolist():
        of = np.flatnonzero((parts == (across, deep)).all(axis=1))
        for row in range(deep):
            for column in range(across):
                edge = [(column, row), (column + 1, row), (column + 1, row + 1), (column, row + 1)]
                corner = [sites.at(np.full(len(of), u / across), np.full(len(of), v / deep), of) for u, v in edge]
                square = shapes.polygons(np.stack(corner, axis=1))
                if (column, row) == (across - 1, deep - 1):
                    cut = np.flatnonzero(sites.chamfer[of])
                    square[cut] = shapely.intersection(square[cut], campus[of[cut]])
                school.append(of)
                number.append(np.full(len(of), row * across + column + 1))
                shape.append(square)
    schools, numbers = np.concatenate(school), np.concatenate(number)
    order = np.lexsort((numbers, schools))
    return Cells(school=schools[order], number=numbers[order], shape=np.concatenate(shape)[order])
