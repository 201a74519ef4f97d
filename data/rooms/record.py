"""Data online: what a file says about districts and schools, checked row by row, then written whole.

The rules here are pure; `write_districts` and `write_schools` use the connection they are given.
A row is either good or refused with every reason there is; a reason is a code, with the value that caused it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import shapely
from shapely import Point
from shapely.geometry.base import BaseGeometry

from data.core import queries
from data.core.db import Connection
from data.core.sheet import BROKEN
from data.spatial import datum as datums

_SQL = queries.load("record")
WORDS: dict[str, Any] = tomllib.loads((Path(__file__).parents[1] / "codes" / "columns.toml").read_text(encoding="utf-8"))
_CODE = re.compile(r"^[0-9A-Za-z_-]{3,32}$")
MOST_PUPILS = 20_000  # the largest schools of the country have fewer; more is a slip of the keyboard
KINDERGARTEN_DAYS, OTHER_DAYS = 90, 30  # Shenzhen preschool rules art. 56; Reg. 799 art. 17


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a row is refused: a code of docs/howto/import.md, the column, and what stood there."""

    code: str
    column: str = ""
    value: str = ""

    def __str__(self) -> str:
        return f"{self.code}({self.column}={self.value})" if self.column else self.code


@dataclass(frozen=True, slots=True)
class Refused:
    """A row that is not taken, with its place in the file and all its reasons."""

    line: int
    reasons: tuple[Reason, ...]
    row: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Area:
    """A district as the database or the code table knows it; `area` in WGS-84 degrees, None before it is drawn."""

    district_code: str
    name_zh: str
    name_en: str
    is_gb2260: bool = True
    area: BaseGeometry | None = None


@dataclass(frozen=True, slots=True)
class Street:
    street_code: str
    district_code: str
    name_zh: str
    name_en: str


@dataclass(slots=True)
class Outcome:
    """What an import did, or with a dry run would do."""

    new: int = 0
    changed: int = 0
    same: int = 0
    refused: list[Refused] = field(default_factory=list)


def _bare(name: str) -> str:
    """A place's name without the word for what it is, so that "罗湖" and "罗湖区" meet."""
    text = name.strip().lower()
    for ending in WORDS["ending"]["place"]:
        text = text.removesuffix(ending)
    return text


def _found_in(places: Iterable[Any], text: str, code_of: Callable[[Any], str]) -> Any | None:
    wanted = _bare(text)
    for place in places:
        if text == code_of(place) or wanted in (_bare(place.name_zh), _bare(place.name_en)):
            return place
    return None


def check_district(
    row: Mapping[str, str], geometry: BaseGeometry | None, codes: list[Area], *, datum: str
) -> tuple[dict[str, Any], list[Reason]]:
    """One district: its code (its own, or by name from the code table), names and outline in WGS-84.

    Returns:
        the values to write, and the reasons against it; it is written only when there are none.
    """
    reasons = _broken(row)
    known = _found_in(codes, row.get("code") or row.get("name_zh", ""), lambda area: area.district_code)
    code = row.get("code") or (known.district_code if known else "")
    if not re.fullmatch(r"[0-9A-Z]{4,12}", code):
        reasons.append(Reason("district_unknown", "name_zh", row.get("name_zh", "")))
    if not row.get("name_zh"):
        reasons.append(Reason("missing", "name_zh"))
    values: dict[str, Any] = {
        "district_code": code,
        "is_gb2260": known.is_gb2260 if known else code.isdigit(),
        "name_zh": known.name_zh if known and not row.get("code") else row.get("name_zh", ""),
        "name_en": row.get("name_en") or (known.name_en if known else romanised(row.get("name_zh", ""))),
        "raw_datum": datum,
        "raw_geom": None,
        "geom": None,
    }
    if geometry is None or geometry.is_empty:
        return values, [*reasons, Reason("geometry_missing")]
    if geometry.geom_type not in ("Polygon", "MultiPolygon"):
        return values, [*reasons, Reason("geometry_kind", "geometry", geometry.geom_type)]
    if not geometry.is_valid:
        return values, [*reasons, Reason("geometry_invalid", "geometry", shapely.is_valid_reason(geometry))]
    west, south, east, north = geometry.bounds
    reasons += _axis(west, south) or _axis(east, north)
    values["raw_geom"] = shapely.to_wkb(geometry)
    values["geom"] = shapely.to_wkb(datums.geometry_to_wgs84(geometry, datum=datum))
    return values, reasons


def _broken(row: Mapping[str, str]) -> list[Reason]:
    return [Reason("encoding", name or "row") for name, value in row.items() if BROKEN in value or "\x00" in value][:1]


def _axis(lon: float, lat: float) -> list[Reason]:
    """The pair must lie in China, longitude first; swapped axes are told apart from nonsense."""
    west, south, east, north = datums.CHINA
    if west <= lon <= east and south <= lat <= north:
        return []
    swapped = west <= lat <= east and south <= lon <= north
    return [Reason("axis_swapped" if swapped else "position_outside", "lon,lat", f"{lon:.6g},{lat:.6g}")]


def romanised(name: str) -> str:
    """Pinyin of a Chinese name, one capitalised word; other text as it is."""
    from pypinyin import lazy_pinyin

    return "".join(lazy_pinyin(name)).capitalize() if any(ord(sign) > 0x2E7F for sign in name) else name


def _whole(row: Mapping[str, str], column: str, most: int, reasons: list[Reason]) -> int:
    text = row.get(column, "").removesuffix(".0")
    if not text:
        return 0
    if not text.isascii() or not text.isdigit() or int(text) > most:
        reasons.append(Reason("number", column, text))
        return 0
    return int(text)


def _degrees(row: Mapping[str, str], column: str, reasons: list[Reason]) -> float | None:
    text = row.get(column, "")
    try:
        value = float(text)
    except ValueError:
        reasons.append(Reason("missing" if not text else "number", column, text))
        return None
    if value != value or abs(value) > 180:
        reasons.append(Reason("number", column, text))
        return None
    return value


def check_school(
    row: Mapping[str, str],
    geometry: BaseGeometry | None,
    areas: list[Area],
    streets: list[Street],
    *,
    datum: str,
    words: Mapping[str, Mapping[str, str]],
) -> tuple[dict[str, Any], list[Reason]]:
    """One school: every field, its district by code or name, and its point in WGS-84 inside that district.

    Args:
        row: text by our column names.
        geometry: a point in degrees of `datum`, or None: then `lon` and `lat` of the row count.
        words: for `kind`, `ownership` and `bool`: what a file may say → our value.
    Returns:
        the values to write, and the reasons against it; it is written only when there are none.
    """
    reasons = _broken(row)
    values: dict[str, Any] = {
        name: row.get(name, "") for name in ("code", "name_zh", "name_en", "address", "contact_name", "contact_phone")
    }
    if not _CODE.fullmatch(values["code"]):
        reasons.append(Reason("missing" if not values["code"] else "code", "code", values["code"]))
    if not values["name_zh"]:
        reasons.append(Reason("missing", "name_zh"))
    values["name_en"] = values["name_en"] or romanised(values["name_zh"])
    for column in ("kind", "ownership"):
        text = row.get(column, "").lower()
        values[column] = words[column].get(text)
        if values[column] is None:
            reasons.append(Reason("missing" if not text else "word", column, text))
    for column in ("has_canteen", "has_bus"):
        text = row.get(column, "").lower()
        values[column] = words["bool"].get(text) == "true"
        if text not in words["bool"]:
            reasons.append(Reason("word", column, text))
    values["pupils"] = _whole(row, "pupils", MOST_PUPILS, reasons)
    values["boarders"] = _whole(row, "boarders", MOST_PUPILS, reasons)
    values["retention_days"] = KINDERGARTEN_DAYS if values["kind"] == "kindergarten" else OTHER_DAYS
    district = _found_in(areas, row.get("district", ""), lambda area: area.district_code) if row.get("district") else None
    if row.get("district") and district is None:
        reasons.append(Reason("district_unknown", "district", row["district"]))
    values |= {"raw_datum": datum, "raw_lon": None, "raw_lat": None, "lon": None, "lat": None, "district_code": None, "street_code": None}
    if isinstance(geometry, Point) and not geometry.is_empty:
        lon, lat = geometry.x, geometry.y
    elif geometry is not None:
        return values, [*reasons, Reason("geometry_kind", "geometry", geometry.geom_type)]
    else:
        lon, lat = _degrees(row, "lon", reasons), _degrees(row, "lat", reasons)
    if lon is None or lat is None:
        return values, reasons
    axis = _axis(lon, lat)
    if axis:
        return values, reasons + axis
    at_lon, at_lat = (float(value) for value in datums.to_wgs84(lon, lat, datum=datum))
    values |= {"raw_lon": lon, "raw_lat": lat, "lon": at_lon, "lat": at_lat}
    here = next((area for area in areas if area.area is not None and shapely.contains_xy(area.area, at_lon, at_lat)), None)
    if district is None and not row.get("district"):
        district = here
        if here is None:
            reasons.append(Reason("position_outside", "lon,lat", f"{lon:.6f},{lat:.6f}"))
    if district is not None:
        values["district_code"] = district.district_code
        if district.area is not None and not shapely.contains_xy(district.area, at_lon, at_lat):
            others = [name for name in datums.fitting_datums(lon, lat, district.area) if name != datum]
            reasons.append(
                Reason("datum_suspect", "lon,lat", "|".join(others))
                if others
                else Reason("position_outside", "district", f"{district.district_code}:{here.district_code if here else '-'}")
            )
        if row.get("street"):
            street = _found_in(
                [one for one in streets if one.district_code == district.district_code], row["street"], lambda one: one.street_code
            )
            values["street_code"] = street.street_code if street else None
            if street is None:
                reasons.append(Reason("street_unknown", "street", row["street"]))
    return values, reasons


def areas(conn: Connection) -> list[Area]:
    """The districts of the database."""
    return [
        Area(row["district_code"], row["name_zh"], row["name_en"], area=shapely.from_wkb(bytes(row["area"])))
        for row in conn.execute(_SQL["district_areas"])
    ]


def streets(conn: Connection) -> list[Street]:
    """The streets of the database."""
    return [Street(**row) for row in conn.execute(_SQL["street_codes"])]


def _write(conn: Connection, statement: str, rows: list[dict[str, Any]], outcome: Outcome) -> None:
    for values in rows:
        done = conn.execute(_SQL[statement], values).fetchone()
        if done is None:
            outcome.same += 1
        elif done["is_new"]:
            outcome.new += 1
        else:
            outcome.changed += 1


def write_districts(conn: Connection, rows: list[dict[str, Any]], outcome: Outcome) -> None:
    """Write checked districts; a second time the same file changes nothing."""
    _write(conn, "upsert_district", rows, outcome)


def write_schools(conn: Connection, rows: list[dict[str, Any]], outcome: Outcome) -> None:
    """Write checked schools; a second time the same file changes nothing."""
    _write(conn, "upsert_school", rows, outcome)
