"""Map layers: what is read for the map, by whom it may be read, in which form it travels.

Importing the package registers every layer, in the order in which the legend lists them.
"""

from __future__ import annotations

from layers import basemap, cameras, campuses, cells, devices, routes, schools, units
from layers.registry import LAYERS, Layer, NoSuchLayer, Sign, get, legend
from layers.tile import BadAddress, NoSuchTile, Tile, address

__all__ = [
    "LAYERS",
    "BadAddress",
    "Layer",
    "NoSuchLayer",
    "NoSuchTile",
    "Sign",
    "Tile",
    "address",
    "basemap",
    "cameras",
    "campuses",
    "cells",
    "devices",
    "get",
    "legend",
    "routes",
    "schools",
    "units",
]
