"""Datums: what a map of China says becomes the WGS-84 we store, once and to the millimetre."""

from __future__ import annotations

import json
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import shapely
from shapely.geometry import shape

from data.spatial import datum

GEO = Path(__file__).parents[3] / "shared/data/geo"
real_files = pytest.mark.skipif(not GEO.is_dir(), reason="the two real district files are not beside the repository (../shared/data/geo)")


@hypothesis.given(st.floats(73.5, 134.5), st.floats(18.5, 53.0), st.sampled_from(["gcj02", "bd09"]))
def test_there_and_back_is_the_same_place_within_a_millimetre(lon, lat, name):
    out = datum.wgs84_to_gcj02(lon, lat)
    if name == "bd09":
        out = datum.gcj02_to_bd09(*out)
    back = datum.to_wgs84(*out, datum=name)
    assert abs(float(back[0]) - lon) < 1e-8
    assert abs(float(back[1]) - lat) < 1e-8


def test_gcj02_is_off_by_hundreds_of_metres_in_shenzhen_and_by_nothing_abroad():
    d_lon, d_lat = (value - start for value, start in zip(datum.wgs84_to_gcj02(114.05, 22.54), (114.05, 22.54), strict=True))
    assert 0.004 < d_lon < 0.006
    assert -0.004 < d_lat < -0.002
    assert [float(value) for value in datum.wgs84_to_gcj02(2.35, 48.85)] == [2.35, 48.85]


def test_an_unknown_datum_is_refused_and_says_which_are_known():
    with pytest.raises(datum.WrongDatum, match="bd09"):
        datum.to_wgs84(114.0, 22.5, datum="beijing54")


def test_an_empty_geometry_stays_empty_and_nan_stays_nan():
    assert datum.geometry_to_wgs84(shapely.Polygon(), datum="gcj02").is_empty
    assert np.isnan(datum.gcj02_to_wgs84(np.nan, 22.5)[0])


def test_the_datum_that_puts_a_point_into_its_district_is_proposed():
    area = shapely.box(114.049, 22.539, 114.051, 22.541)
    lon, lat = (float(value) for value in datum.wgs84_to_gcj02(114.05, 22.54))
    assert datum.fitting_datums(lon, lat, area) == ["gcj02"]
    assert datum.fitting_datums(114.05, 22.54, area) == ["wgs84"]


@real_files
def test_the_real_gcj02_file_lies_on_the_real_wgs84_file_after_conversion():
    gcj = {one["properties"]["name"][:2]: shape(one["geometry"]) for one in json.loads((GEO / "440300_full.json").read_text())["features"]}
    wgs = {
        one["properties"]["qh"][:2]: shape(one["geometry"]) for one in json.loads((GEO / "transbigdata_sz.json").read_text())["features"]
    }
    for name, outline in gcj.items():
        edge = wgs[name].boundary
        before = np.median(shapely.distance(shapely.points(shapely.get_coordinates(outline)), edge))
        moved = datum.geometry_to_wgs84(outline, datum="gcj02")
        after = np.median(shapely.distance(shapely.points(shapely.get_coordinates(moved)), edge))
        assert before > 0.002, f"{name}: the file is not off by what GCJ-02 is off"
        assert after < 0.00005, f"{name}: still {after} degrees off"
