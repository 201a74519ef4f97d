"""The demo city's ground: warped street blocks, one connected road graph, hills, parks and water. Metres, EPSG:4547."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from data.demo import outline, shapes

BLOCK_M = 400.0
SPEED_KMH = {"motorway": 80, "trunk": 60, "primary": 50, "secondary": 40, "residential": 30}
# Share of a district's blocks that are built on; the rest is hill and park.
BUILT_SHARE = {
    "440303": 0.72, "440304": 0.80, "440305": 0.62, "440306": 0.66, "440307": 0.55, "440308": 0.34, "440309": 0.66, "440310": 0.46,
    "440311": 0.50, "SZDP": 0.16,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """Blocks and roads.

    Attributes:
        corners: (blocks, 4, 2) corner points of the built blocks, counter-clockwise from the south-west, metres.
        district: (blocks,) index into `codes`.
        heart: (blocks,) how central a block is, 0 to 1.
        nodes: (nodes, 2) crossings, metres.
        edges: (roads, 2) indices into `nodes`.
        road_class: (roads,) name of the class.
        line: (roads,) number of the street the road belongs to: roads of one number share a name.
        parks, lakes, built: polygons of the land use.
    """

    codes: tuple[str, ...]
    corners: np.ndarray
    district: np.ndarray
    heart: np.ndarray
    nodes: np.ndarray
    edges: np.ndarray
    road_class: np.ndarray
    line: np.ndarray
    parks: list[shapely.Polygon]
    lakes: list[shapely.Polygon]
    built: list[shapely.Polygon]


def _waves(rng: np.random.Generator, x: np.ndarray, y: np.ndarray, lengths_m: tuple[float, ...]) -> np.ndarray:
    """A smooth random field over the plane, about -1 to 1."""
    total = np.zeros_like(x)
    for length_m in lengths_m:
        for _ in range(3):
            turn, phase = rng.uniform(0, 2 * np.pi, 2)
            total += np.sin(2 * np.pi * (x * np.cos(turn) + y * np.sin(turn)) / length_m + phase)
    return total / np.sqrt(3 * len(lengths_m))


def _classes(columns: np.ndarray, rows: np.ndarray, along_x: np.ndarray) -> np.ndarray:
    """Class of every lattice edge from the number of the line it lies on."""
    line = np.where(along_x, rows, columns)
    found = np.full(len(line), "residential", dtype="U11")
    found[line % 3 == 0] = "secondary"
    found[line % 6 == 0] = "primary"
    found[line % 12 == 0] = "trunk"
    found[line % 36 == 18] = "motorway"
    return found


def ground(seed: int, districts: dict[str, shapely.Polygon]) -> Ground:
    """Lay the blocks and roads over the districts.

    Returns:
        A ground whose road graph is one connected piece and holds all four corners of every block.
    """
    rng = np.random.default_rng([seed, 1])
    west, south, east, north = outline.board().bounds
    columns, rows = int((east - west) // BLOCK_M) + 1, int((north - south) // BLOCK_M) + 1
    grid_x, grid_y = np.meshgrid(west + np.arange(columns) * BLOCK_M, south + np.arange(rows) * BLOCK_M)
    x = grid_x + 380 * np.sin(2 * np.pi * grid_y / 17_000 + 0.7) + 140 * np.sin(2 * np.pi * (grid_x + grid_y) / 9_300)
    y = grid_y + 380 * np.sin(2 * np.pi * grid_x / 19_000 + 2.1) + 140 * np.sin(2 * np.pi * (grid_x - grid_y) / 8_100)
    nodes = np.column_stack([x.ravel(), y.ravel()]) + rng.uniform(-14, 14, (rows * columns, 2))
    number = np.arange(rows * columns).reshape(rows, columns)

    quads = np.stack([number[:-1, :-1], number[:-1, 1:], number[1:, 1:], number[1:, :-1]], axis=-1).reshape(-1, 4)
    corners = nodes[quads]
    codes = tuple(districts)
    inner = shapely.STRtree([shapely.buffer(shape, -60) for shape in districts.values()])
    block, district = inner.query(shapely.polygons(corners), predicate="within")
    centre = corners[block].mean(axis=1)
    hearts = {code: np.array(shapely.point_on_surface(shape).coords[0]) for code, shape in districts.items()}
    away = np.array([hearts[code] for code in codes])[district] - centre
    span = np.sqrt([districts[code].area for code in codes])[district]
    green = _waves(rng, centre[:, 0], centre[:, 1], (14_000.0, 7_500.0, 4_200.0))
    score = 0.55 * green + 1.1 * np.hypot(*away.T) / span
    built = np.zeros(len(block), dtype=bool)
    for index, code in enumerate(codes):
        mine = district == index
        built[mine] = score[mine] <= np.quantile(score[mine], BUILT_SHARE[code])

    edges, road_class, line = _edges(number, nodes, quads[block[built]], shapely.union_all(list(districts.values())))
    kept, edges, road_class, line = _largest_piece(edges, road_class, line)
    fits = np.isin(quads[block[built]], kept).all(axis=1)
    chosen = np.flatnonzero(built)[fits]
    renumber = np.full(len(nodes), -1)
    renumber[kept] = np.arange(len(kept))
    squares = shapes.polygons(corners[block])
    hills = _merge(squares[~built], 90.0, 60_000)
    lakes = _lakes(rng, hills)
    return Ground(
        codes=codes, corners=corners[block[chosen]], district=district[chosen],
        heart=1 - (score[chosen] - score[chosen].min()) / np.ptp(score[chosen]),
        nodes=nodes[kept], edges=renumber[edges], road_class=road_class, line=line,
        parks=hills, lakes=lakes, built=_merge(squares[built], 12.0, 0),
    )  # fmt: skip


def _edges(number: np.ndarray, nodes: np.ndarray, quads: np.ndarray, land: shapely.Geometry) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lattice edges that become roads: the sides of built blocks, and the big lines wherever there is land."""
    rows, columns = number.shape
    flat = np.concatenate(
        [np.column_stack([number[:, :-1].ravel(), number[:, 1:].ravel()]), np.column_stack([number[:-1].ravel(), number[1:].ravel()])]
    )
    along_x = np.arange(len(flat)) < rows * (columns - 1)
    column, row = flat[:, 0] % columns, flat[:, 0] // columns
    road_class = _classes(column, row, along_x)
    sides = np.sort(np.concatenate([quads[:, [0, 1]], quads[:, [1, 2]], quads[:, [3, 2]], quads[:, [0, 3]]]), axis=1)
    wanted = np.isin(flat[:, 0] * len(nodes) + flat[:, 1], sides[:, 0] * len(nodes) + sides[:, 1])
    big = np.isin(road_class, ("motorway", "trunk", "primary"))
    shapely.prepare(land)
    dry = shapely.contains(land, shapely.linestrings(nodes[flat[big]]))
    wanted[np.flatnonzero(big)[dry]] = True
    line = np.where(along_x, row, 10_000 + column)
    return flat[wanted], road_class[wanted], line[wanted]


def _largest_piece(edges: np.ndarray, road_class: np.ndarray, line: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Keep the largest connected piece of a graph: its node numbers, and its edges with what belongs to them."""
    size = int(edges.max()) + 1
    graph = coo_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(size, size))
    _, piece = connected_components(graph, directed=False)
    used = np.unique(edges)
    largest = np.bincount(piece[used]).argmax()
    inside = piece[edges[:, 0]] == largest
    return used[piece[used] == largest], edges[inside], road_class[inside], line[inside]


def _merge(squares: np.ndarray, round_m: float, least_m2: float) -> list[shapely.Polygon]:
    """Blocks that touch become one shape with rounded corners; shapes below `least_m2` are dropped."""
    merged = shapely.union_all(squares)
    rounded = shapely.buffer(shapely.buffer(merged, -round_m, quad_segs=3), round_m, quad_segs=3)
    return [part for part in shapely.get_parts(shapely.simplify(rounded, 4.0)) if part.area > least_m2]


def _lakes(rng: np.random.Generator, hills: list[shapely.Polygon]) -> list[shapely.Polygon]:
    """Reservoirs among the hills: wavy ovals that lie inside a park."""
    found: list[shapely.Polygon] = []
    for hill in sorted(hills, key=lambda shape: -shape.area)[:40]:
        for centre in rng.uniform(hill.bounds[:2], hill.bounds[2:], (6, 2)):
            turn = np.linspace(0, 2 * np.pi, 36, endpoint=False)
            wave = 1 + 0.22 * np.sin(3 * turn + rng.uniform(0, 6)) + 0.13 * np.sin(5 * turn + rng.uniform(0, 6))
            reach = rng.uniform(180, 620) * wave
            oval = shapely.Polygon(np.column_stack([centre[0] + reach * np.cos(turn), centre[1] + 0.7 * reach * np.sin(turn)]))
            if hill.contains(oval) and all(oval.distance(other) > 150 for other in found):
                found.append(oval)
    return found
