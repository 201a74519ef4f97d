"""Imports: every row is taken or refused with its reasons, and a file twice is a file once."""

from __future__ import annotations

import csv
from pathlib import Path

import geopandas
import openpyxl
import pytest
import shapely

from data.core import audit, sheet
from data.ingest import imports
from data.spatial import datum as datums

GEO = Path(__file__).parents[3] / "shared/data/geo"
real_files = pytest.mark.skipif(not GEO.is_dir(), reason="the two real district files are not beside the repository (../shared/data/geo)")

HEADER = ["学校代码", "学校名称", "类型", "办学性质", "所在区", "地址", "学生数", "食堂", "经度", "纬度"]
GOOD = ["4403039001", "演示第一小学", "小学", "公办", "东区", "演示路 1 号", "800", "是", "114.02", "22.52"]


def put_districts(conn):
    for code, name, west in (("440390", "东区", 114.0), ("440391", "西区", 113.9)):
        conn.execute(
            "insert into district (district_code, name_zh, name_en, geom)"
            " values (%s, %s, %s, st_multi(st_makeenvelope(%s, 22.5, %s, 22.6, 4326)))",
            (code, name, name, west, west + 0.1),
        )
    conn.commit()


def write_csv(path: Path, *rows: list[str], encoding: str = "utf-8") -> Path:
    with path.open("w", newline="", encoding=encoding) as file:
        csv.writer(file).writerows([HEADER, *rows])
    return path


def changed(**values: str) -> list[str]:
    names = dict(zip(("code", "name", "kind", "ownership", "district", "address", "pupils", "canteen", "lon", "lat"), GOOD, strict=True))
    return list((names | values).values())


def schools(conn) -> list:
    rows = conn.execute(
        "select code, name_zh, name_en, kind, ownership, district_code, pupils, has_canteen, raw_lon, raw_datum,"
        " st_x(geom) as lon, st_y(geom) as lat from school order by code"
    ).fetchall()
    conn.commit()
    return rows


def codes_of(outcome) -> list[str]:
    return [reason.code for refused in outcome.refused for reason in refused.reasons]


@pytest.fixture
def city(conn):
    conn.commit()
    put_districts(conn)
    return conn


def test_a_file_imported_twice_leaves_one_row_and_says_so(city, tmp_path):
    path = write_csv(tmp_path / "schools.csv", GOOD)
    first = imports.run(city, "schools", path, datum="wgs84")
    second = imports.run(city, "schools", path, datum="wgs84")
    assert (first.new, first.same, second.new, second.same, second.changed) == (1, 0, 0, 1, 0)
    (row,) = schools(city)
    assert (row["kind"], row["ownership"], row["district_code"], row["pupils"], row["has_canteen"]) == (
        "primary",
        "district",
        "440390",
        800,
        True,
    )
    assert row["name_en"] == "Yanshidiyixiaoxue"
    assert audit.verify(city) is None or audit.verify(city)


def test_a_changed_row_is_changed_and_counted(city, tmp_path):
    imports.run(city, "schools", write_csv(tmp_path / "a.csv", GOOD), datum="wgs84")
    outcome = imports.run(city, "schools", write_csv(tmp_path / "b.csv", changed(pupils="900")), datum="wgs84")
    assert outcome.changed == 1
    assert schools(city)[0]["pupils"] == 900


def test_gcj02_is_converted_once_and_the_raw_pair_is_kept(city, tmp_path):
    lon, lat = (float(value) for value in datums.wgs84_to_gcj02(114.02, 22.52))
    imports.run(city, "schools", write_csv(tmp_path / "a.csv", changed(lon=repr(lon), lat=repr(lat))), datum="gcj02")
    (row,) = schools(city)
    assert row["lon"] == pytest.approx(114.02, abs=1e-8)
    assert row["lat"] == pytest.approx(22.52, abs=1e-8)
    assert row["raw_lon"] == lon
    assert row["raw_datum"] == "gcj02"


def test_the_wrong_datum_is_noticed_and_the_right_one_named(city, tmp_path):
    lon, lat = (float(value) for value in datums.wgs84_to_gcj02(114.0981, 22.52))
    outcome = imports.run(city, "schools", write_csv(tmp_path / "a.csv", changed(lon=repr(lon), lat=repr(lat))), datum="wgs84")
    assert codes_of(outcome) == ["datum_suspect"]
    assert "gcj02" in outcome.refused[0].reasons[0].value


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"code": ""}, "missing"),
        ({"code": "a b"}, "code"),
        ({"name": ""}, "missing"),
        ({"kind": "大学"}, "word"),
        ({"ownership": "?"}, "word"),
        ({"district": "北区"}, "district_unknown"),
        ({"pupils": "-3"}, "number"),
        ({"pupils": "九百"}, "number"),
        ({"pupils": "999999"}, "number"),
        ({"lon": "22.52", "lat": "114.02"}, "axis_swapped"),
        ({"lon": "0", "lat": "0"}, "position_outside"),
        ({"lon": ""}, "missing"),
        ({"lat": "nan"}, "number"),
        ({"district": "西区"}, "position_outside"),
        ({"canteen": "或许"}, "word"),
        ({"name": "坏\x00字"}, "encoding"),
    ],
    ids=lambda value: str(value) if isinstance(value, str) else "-".join(value),
)
def test_a_bad_row_is_refused_with_its_reason_and_nothing_is_half_imported(city, tmp_path, values, reason):
    path = write_csv(tmp_path / "a.csv", changed(code="4403039002"), changed(**values))
    outcome = imports.run(city, "schools", path, datum="wgs84")
    assert codes_of(outcome) == [reason]
    assert outcome.refused[0].line == 3
    assert schools(city) == []
    assert imports.run(city, "schools", path, datum="wgs84", take_good=True).new == 1


def test_a_row_has_all_its_reasons_and_the_report_has_the_row(city, tmp_path):
    path = write_csv(tmp_path / "a.csv", changed(kind="?", pupils="x", district="北区"))
    outcome = imports.run(city, "schools", path, datum="wgs84")
    assert sorted(codes_of(outcome)) == ["district_unknown", "number", "word"]
    imports.write_report(tmp_path / "report.csv", outcome)
    rows = list(csv.DictReader((tmp_path / "report.csv").read_text(encoding="utf-8-sig").splitlines()))
    assert rows[0]["line"] == "2"
    assert rows[0]["学校名称"] == "演示第一小学"
    assert "word(kind=?)" in rows[0]["reasons"]


def test_the_same_code_twice_in_a_file_is_refused(city, tmp_path):
    outcome = imports.run(city, "schools", write_csv(tmp_path / "a.csv", GOOD, GOOD), datum="wgs84")
    assert codes_of(outcome) == ["twice_in_file"]


def test_a_dry_run_counts_and_writes_nothing(city, tmp_path):
    outcome = imports.run(city, "schools", write_csv(tmp_path / "a.csv", GOOD), datum="wgs84", is_dry=True)
    assert outcome.new == 1
    assert schools(city) == []


def test_gb18030_is_read_and_a_broken_byte_costs_only_its_row(city, tmp_path):
    assert imports.run(city, "schools", write_csv(tmp_path / "a.csv", GOOD, encoding="gb18030"), datum="wgs84").new == 1
    path = write_csv(tmp_path / "b.csv", GOOD, changed(code="4403039002", name="断字"))
    path.write_bytes(path.read_bytes().replace("断字".encode(), b"\xe6\x96\xff"))
    outcome = imports.run(city, "schools", path, datum="wgs84", encoding="utf-8", take_good=True)
    assert codes_of(outcome) == ["encoding"]
    assert outcome.same == 1


def excel(path: Path) -> Path:
    book = openpyxl.Workbook()
    for row in (HEADER, [*GOOD[:6], 800, "是", 114.02, 22.52]):
        book.worksheets[0].append(row)
    book.save(path)
    return path


def features(path: Path) -> Path:
    frame = geopandas.GeoDataFrame(
        {"code": ["4403039001"], "name": ["演示第一小学"], "type": ["小学"], "owner": ["公办"], "pupils": [800]},
        geometry=[shapely.Point(114.02, 22.52)],
        crs=4326,
    )
    frame.to_file(path, encoding="gb18030" if path.suffix == ".shp" else None)
    return path


@pytest.mark.parametrize("name", ["a.xlsx", "a.geojson", "a.gpkg", "a.shp"])
def test_every_format_gives_the_same_school(city, tmp_path, name):
    path = excel(tmp_path / name) if name.endswith("xlsx") else features(tmp_path / name)
    mapping = [] if name.endswith("xlsx") else ["ownership=owner", "kind=type"]
    outcome = imports.run(city, "schools", path, datum="wgs84", mapping=mapping)
    assert outcome.refused == []
    assert outcome.new == 1
    (row,) = schools(city)
    assert (row["name_zh"], row["kind"], row["district_code"], round(row["lon"], 6)) == ("演示第一小学", "primary", "440390", 114.02)


@pytest.mark.parametrize(
    ("name", "body", "words"),
    [
        ("a.csv", b"", "empty"),
        ("a.xlsx", b"PK nonsense", "Excel"),
        ("a.gpkg", b"nonsense", "features"),
        ("a.pdf", b"%PDF", "no read|not read"),
        ("a.csv", b"name,name\n1,2\n", "twice"),
        ("a.geojson", b'{"type": "FeatureCollection", "features": [', "features"),
    ],
    ids=["empty", "excel", "gpkg", "ending", "twice", "cut-short"],
)
def test_a_file_that_cannot_be_used_says_what_to_do(city, tmp_path, name, body, words):
    (tmp_path / name).write_bytes(body)
    with pytest.raises(sheet.UnreadableFile, match=words):
        imports.run(city, "schools", tmp_path / name, datum="wgs84")


def test_a_mapping_to_a_column_that_is_not_there_is_refused(city, tmp_path):
    with pytest.raises(imports.BadMapping, match="学校名称"):
        imports.run(city, "schools", write_csv(tmp_path / "a.csv", GOOD), datum="wgs84", mapping=["name_zh=nome"])


def test_an_outline_that_crosses_itself_is_refused_with_the_place(city, tmp_path):
    bow = shapely.Polygon([(114, 22.5), (114.1, 22.6), (114.1, 22.5), (114, 22.6)])
    geopandas.GeoDataFrame({"adcode": ["440392"], "name": ["演示区"]}, geometry=[bow], crs=4326).to_file(tmp_path / "a.gpkg")
    outcome = imports.run(city, "districts", tmp_path / "a.gpkg", datum="wgs84")
    assert codes_of(outcome) == ["geometry_invalid"]
    assert "114.05" in outcome.refused[0].reasons[0].value


@real_files
def test_the_two_real_district_files_give_the_same_city(conn):
    conn.commit()
    first = imports.run(conn, "districts", GEO / "transbigdata_sz.json", datum="wgs84")
    assert (first.new, first.refused) == (10, [])
    rows = conn.execute("select district_code, is_gb2260, st_x(st_centroid(geom)) as lon from district order by 1").fetchall()
    assert [row["district_code"] for row in rows] == [*(f"4403{n:02d}" for n in range(3, 12)), "SZDP"]
    assert [row["district_code"] for row in rows if not row["is_gb2260"]] == ["SZDP"]
    conn.commit()
    before = {row["district_code"]: row["lon"] for row in rows}
    second = imports.run(conn, "districts", GEO / "440300_full.json", datum="gcj02")
    assert (second.changed, second.new, second.refused) == (9, 0, [])
    for row in conn.execute("select district_code, st_x(st_centroid(geom)) as lon from district where raw_datum = 'gcj02'").fetchall():
        if row["district_code"] == "440307":
            continue  # the nine-district file still counts Dapeng to it
        assert row["lon"] == pytest.approx(before[row["district_code"]], abs=0.003), row["district_code"]
