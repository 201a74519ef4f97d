"""Where a tile lies: the address z/x/y of the usual web grid (EPSG:3857, origin north-west)."""

from __future__ import annotations

import re
from dataclasses import dataclass

DEEPEST_ZOOM = 20
_WHOLE = re.compile(r"[0-9]{1,7}")


class BadAddress(ValueError):
    """z, x or y is not a whole number."""


class NoSuchTile(LookupError):
    """The address is well formed, but the layer or the grid has no such tile."""


@dataclass(frozen=True, slots=True)
class Tile:
    """A tile of the web grid: zoom, column from the west, row from the north."""

    z: int
    x: int
    y: int

    @property
    def sql(self) -> dict[str, int]:
        """The address as parameters of a statement."""
        return {"z": self.z, "x": self.x, "y": self.y}


def address(z: str, x: str, y: str) -> Tile:
    """The tile of three parts of a URL.

    Raises:
        BadAddress: a part is not a whole number.
        NoSuchTile: the zoom is too deep, or the grid has no such column or row there.
    """
    if not all(_WHOLE.fullmatch(part) for part in (z, x, y)):
        raise BadAddress(f"{z}/{x}/{y}")
    tile = Tile(int(z), int(x), int(y))
    if tile.z > DEEPEST_ZOOM or tile.x >= 2**tile.z or tile.y >= 2**tile.z:
        raise NoSuchTile(f"{z}/{x}/{y}")
    return tile
