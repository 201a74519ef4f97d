"""What a camera sees: against PostGIS' exact shadows, and at the edges of what can be asked."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from data.core import db
from data.spatial.visibility import sectors, visible
from tests.conftest import Database

# The exact formula of one camera over convex buildings: what is left of the sector beside their shadows.
EXACT = """
with lens as (
  select camera_id, ST_Transform(c.geom, 4547) as at, ST_GeomFromWKB(s.sector, 4547) as sector, ST_Transform(c.view_geom, 4547) as view
  from camera c join unnest(%(cameras)s::int[], %(sectors)s::bytea[]) as s(camera_id, sector) using (camera_id)
), wall as (
  select ST_Transform(geom, 4547) as geom from building
)
select camera_id, ST_AsBinary(view) as view, ST_AsBinary(coalesce(ST_Difference(sector, (
  select ST_Union(ST_ConvexHull(ST_Collect(w.geom, ST_Scale(w.geom, ST_SetSRID(ST_MakePoint(1000, 1000), 4547), at))))
  from wall w where ST_Intersects(w.geom, sector) and not ST_Intersects(w.geom, at))), sector)) as exact
from lens order by camera_id"""


def camera(azimuth_deg: float = 0.0, fov_deg: float = 90.0, range_m: float = 50.0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    return np.zeros((1, 2)), np.array([azimuth_deg]), np.array([fov_deg]), np.array([range_m])


def area(buildings: list[shapely.Polygon], **lens: float) -> float:
    return float(visible(*camera(**lens), np.array(buildings, dtype=object))[0].area)


def test_the_stored_views_are_those_postgis_computes(small_city: Database) -> None:
    with small_city.connect() as conn, db.scoped(conn, db.CITY):
        rows = conn.execute(
            "select camera_id, azimuth_deg, fov_deg, range_m, ST_AsBinary(ST_Transform(geom, 4547)) as at from camera"
            " where camera_id % 3 = 0 order by camera_id"
        ).fetchall()
        point = shapely.get_coordinates(shapely.from_wkb([row["at"] for row in rows]))
        drawn = sectors(point, *(np.array([row[name] for row in rows], dtype=float) for name in ("azimuth_deg", "fov_deg", "range_m")))
        values = {"cameras": [row["camera_id"] for row in rows], "sectors": [shape.wkb for shape in drawn]}
        found = conn.execute(EXACT, values).fetchall()
    view, exact = (shapely.from_wkb([row[name] for row in found]) for name in ("view", "exact"))
    assert len(found) > 200
    share = shapely.area(shapely.symmetric_difference(view, exact)) / shapely.area(drawn)
    assert share.max() < 1e-3  # the fov and range in the table are single precision, the far copies of the two differ
    assert share.mean() < 1e-5


def test_with_nothing_in_the_way_a_camera_sees_its_sector() -> None:
    assert area([]) == pytest.approx(np.pi * 50**2 / 4, rel=2e-3)
    assert area([], fov_deg=360.0) == pytest.approx(np.pi * 50**2, rel=2e-3)
    assert area([shapely.box(-5, -20, 5, -10)]) == area([])  # behind it


def test_a_wall_across_the_view_hides_all_behind_it() -> None:
    wall = shapely.box(-100, 20, 100, 21)
    assert area([wall]) == pytest.approx(20**2, rel=1e-6)  # the triangle in front of the wall
    assert area([wall, shapely.box(-5, 30, 5, 40)]) == pytest.approx(area([wall]))


def test_a_building_of_any_form_casts_the_shadow_of_its_parts() -> None:
    parts = [shapely.box(-10, 20, -6, 30), shapely.box(6, 20, 10, 30), shapely.box(-10, 28, 10, 30)]
    horseshoe = shapely.union_all(parts)
    assert isinstance(horseshoe, shapely.Polygon)
    assert area([horseshoe]) == pytest.approx(area(parts))
    assert area([horseshoe]) > area([shapely.box(-10, 20, 10, 30)])  # it sees into the yard


def test_a_building_does_not_hide_the_camera_that_stands_in_it() -> None:
    assert area([shapely.box(-3, -3, 3, 3)]) == area([])
    assert area([shapely.box(-3, 0, 3, 6)]) == area([])  # on its wall


def test_a_camera_behind_a_wall_sees_a_sliver_and_never_nothing() -> None:
    seen = visible(*camera(), np.array([shapely.box(-50, 0.001, 50, 1)]))[0]
    assert seen.geom_type == "Polygon"
    assert 0 < seen.area < 0.1
    assert len(visible(np.zeros((0, 2)), np.zeros(0), np.zeros(0), np.zeros(0), np.array([], dtype=object))) == 0
