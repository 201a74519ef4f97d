"""Tables from files: CSV, Excel, GeoJSON, GeoPackage, Shapefile → rows of text and, where there is one, a geometry.

Nothing is guessed about meaning here: column names and values stay as the file has them.
"""

from __future__ import annotations

import csv
import io
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import shapely
from shapely.geometry.base import BaseGeometry

LARGEST_BYTES = 200 * 1024 * 1024
MOST_ROWS = 200_000
SUFFIXES = (".csv", ".xlsx", ".geojson", ".json", ".gpkg", ".shp")
BROKEN = "\ufffd"  # stands where a byte could not be read; a row that holds one is refused later


class UnreadableFile(ValueError):
    """The file is not what its name says, is too large, or has a form we do not read; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows as the file has them.

    Attributes:
        columns: names in the file's order.
        rows: one dict a row, text without surrounding spaces; a missing value is "".
        lines: where each row stands in the file, for the report (CSV and Excel: line or row number, else the feature's).
        geometries: one a row in the file's own degrees (None where it has none), or None for a table without geometry.
    """

    columns: list[str]
    rows: list[dict[str, str]]
    lines: list[int]
    geometries: list[BaseGeometry | None] | None = field(default=None)


def read(path: Path, *, encoding: str = "") -> Table:
    """Read a table by the file's ending.

    Args:
        path: .csv, .xlsx, .geojson/.json, .gpkg or .shp.
        encoding: of a CSV or Shapefile; "" tries UTF-8, then GB 18030.
    Raises:
        UnreadableFile: see the class.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UnreadableFile(f"{path.name}: {suffix or 'no ending'} is not read; save it as one of {', '.join(SUFFIXES)}")
    try:
        size = path.stat().st_size
    except OSError as err:
        raise UnreadableFile(f"{path}: {err.strerror}; check the path") from err
    if size > LARGEST_BYTES:
        raise UnreadableFile(f"{path.name}: {size} bytes, at most {LARGEST_BYTES} are read; split the file")
    if suffix == ".csv":
        table = _read_csv(path, encoding)
    elif suffix == ".xlsx":
        table = _read_excel(path)
    else:
        table = _read_features(path, encoding)
    if len(table.rows) > MOST_ROWS:
        raise UnreadableFile(f"{path.name}: {len(table.rows)} rows, at most {MOST_ROWS} are read; split the file")
    return table


def _decode(body: bytes, encoding: str) -> str:
    for name in (encoding,) if encoding else ("utf-8-sig", "gb18030"):
        try:
            return body.decode(name)
        except UnicodeDecodeError:
            continue
        except LookupError as err:
            raise UnreadableFile(f"encoding {name} is not known; utf-8 and gb18030 are usual") from err
    return body.decode(encoding or "utf-8", errors="replace")  # the rows that suffer are refused one by one


def _read_csv(path: Path, encoding: str) -> Table:
    text = _decode(path.read_bytes(), encoding)
    try:
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        header = [name.strip() for name in next(reader, [])]
        rows, lines = [], []
        for values in reader:
            if not any(value.strip() for value in values):
                continue
            cells = [value.strip() for value in values] + [""] * (len(header) - len(values))
            rows.append(dict(zip(header, cells, strict=False)) | ({"": BROKEN} if len(values) > len(header) else {}))
            lines.append(reader.line_num)
    except csv.Error as err:
        raise UnreadableFile(f"{path.name}: not a CSV file ({err}); save it again as CSV UTF-8") from err
    return _checked(path, header, rows, lines)


def _read_excel(path: Path) -> Table:
    import openpyxl
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        sheet = book.worksheets[0]
        values = sheet.iter_rows(values_only=True)
        header = [str(name or "").strip() for name in next(values, ())]
        rows, lines = [], []
        for number, cells in enumerate(values, start=2):
            texts = ["" if cell is None else str(cell).strip() for cell in cells]
            if any(texts):
                rows.append(dict(zip(header, texts, strict=False)))
                lines.append(number)
        book.close()
    except (InvalidFileException, zipfile.BadZipFile, KeyError, OSError, ValueError) as err:
        raise UnreadableFile(f"{path.name}: not an Excel workbook ({err}); save it again as .xlsx") from err
    return _checked(path, header, rows, lines)


def _read_features(path: Path, encoding: str) -> Table:
    import geopandas
    from pyogrio.errors import DataSourceError, FeatureError, GeometryError

    try:
        frame = geopandas.read_file(path, encoding=encoding or None, engine="pyogrio", on_invalid="ignore")
    except (DataSourceError, FeatureError, GeometryError, UnicodeDecodeError, ValueError) as err:
        raise UnreadableFile(f"{path.name}: cannot be read as map features ({err}); check the file and its encoding") from err
    if not isinstance(frame, geopandas.GeoDataFrame):
        raise UnreadableFile(f"{path.name}: it has rows but no geometry; save it as CSV or Excel instead")
    if frame.crs is not None and not frame.crs.is_geographic:
        frame = frame.to_crs(4326)
    geometries = [None if shape is None or shapely.is_missing(shape) else shapely.force_2d(shape) for shape in frame.geometry]
    plain = frame.drop(columns=frame.geometry.name)
    columns = [str(name) for name in plain.columns]
    rows = [
        {name: _text(value) for name, value in zip(columns, values, strict=True)} for values in plain.itertuples(index=False, name=None)
    ]
    table = _checked(path, columns, rows, list(range(1, len(rows) + 1)))
    return Table(table.columns, table.rows, table.lines, geometries)


def _text(value: object) -> str:
    """A cell as text; nothing and NaN are "". Lists and objects of a GeoJSON property stay readable."""
    is_nothing = value is None or (isinstance(value, float) and value != value)
    return "" if is_nothing else str(value).strip()


def _checked(path: Path, header: list[str], rows: list[dict[str, str]], lines: list[int]) -> Table:
    if not any(header):
        raise UnreadableFile(f"{path.name}: it is empty, or its first line does not name the columns")
    twice = sorted({name for name in header if name and header.count(name) > 1})
    if twice:
        raise UnreadableFile(f"{path.name}: column {', '.join(twice)} stands there twice; rename one")
    return Table(header, rows, lines)
