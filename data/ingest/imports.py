"""`app.py import districts|schools FILE`: a file becomes rows, or a report says why not.

All or nothing: with one refused row nothing is written, unless `--take-good` says to take the others.
A dry run does everything inside the transaction and rolls it back.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg

from data.core import audit, db, outbox, sheet
from data.core.settings import Settings
from data.rooms import record
from data.spatial.datum import DATUMS

CODES = Path(__file__).parents[1] / "codes"
SHOWN = 20  # refused rows printed; the report file has all


class BadMapping(ValueError):
    """A --map names a column the file or the product does not have."""


def code_table() -> list[record.Area]:
    """The districts of the code table, without outlines."""
    rows = tomllib.loads((CODES / "districts.toml").read_text(encoding="utf-8"))["district"]
    return [record.Area(row["code"], row["name_zh"], row["name_en"], row.get("is_gb2260", True)) for row in rows]


def words() -> dict[str, dict[str, str]]:
    """For `kind`, `ownership` and `bool`: what a file may say → our value."""
    return {
        column: {word.lower(): ours for ours, theirs in table.items() for word in (*theirs, ours)}
        for column, table in record.WORDS["value"].items()
    }


def columns_of(what: str, table: sheet.Table, chosen: list[str]) -> dict[str, str]:
    """Our column → the file's, by `--map ours=theirs` first, then by the names people use.

    Raises:
        BadMapping: a name that does not exist on one of the two sides.
    """
    known: dict[str, list[str]] = record.WORDS[what]
    found: dict[str, str] = {}
    for pair in chosen:
        ours, _, theirs = pair.partition("=")
        if ours not in known:
            raise BadMapping(f"--map {pair}: {ours} is not a column of ours; use one of {', '.join(known)}")
        if theirs not in table.columns:
            raise BadMapping(f"--map {pair}: the file has no column {theirs}; it has {', '.join(table.columns)}")
        found[ours] = theirs
    lower = {name.lower(): name for name in table.columns}
    for ours, names in known.items():
        if ours not in found:
            match = next(
                (lower[name.lower()] for name in names if name.lower() in lower and lower[name.lower()] not in found.values()), None
            )
            if match is not None:
                found[ours] = match
    return found


def _checked(
    what: str, table: sheet.Table, mapping: Mapping[str, str], datum: str, conn: db.Connection, outcome: record.Outcome
) -> list[dict[str, Any]]:
    good: list[dict[str, Any]] = []
    seen: dict[str, int] = {}
    areas, streets, codes, said = record.areas(conn), record.streets(conn), code_table(), words()
    for index, raw in enumerate(table.rows):
        row = {ours: raw.get(theirs, "") for ours, theirs in mapping.items()}
        row |= {"": raw[""]} if "" in raw else {}
        shape = table.geometries[index] if table.geometries is not None else None
        if what == "districts":
            values, reasons = record.check_district(row, shape, codes, datum=datum)
            key = values["district_code"]
        else:
            values, reasons = record.check_school(row, shape, areas, streets, datum=datum, words=said)
            key = values["code"]
        if key and key in seen:
            reasons.append(record.Reason("twice_in_file", "line", str(seen[key])))
        seen.setdefault(key, table.lines[index])
        if reasons:
            outcome.refused.append(record.Refused(table.lines[index], tuple(reasons), raw))
        else:
            good.append(values)
    return good


def run(
    conn: db.Connection,
    what: str,
    path: Path,
    *,
    datum: str,
    mapping: list[str] | None = None,
    encoding: str = "",
    is_dry: bool = False,
    take_good: bool = False,
) -> record.Outcome:
    """Import a file in one transaction.

    Args:
        conn: as the role `app`; not inside a transaction.
        what: "districts" or "schools".
        datum: of the coordinates in the file.
        mapping: `ours=theirs` pairs over the names that are recognised.
        is_dry: do everything, keep nothing.
        take_good: write the good rows although others are refused.
    Returns:
        the counts and every refused row with its reasons.
    Raises:
        sheet.UnreadableFile, BadMapping.
    """
    table = sheet.read(path, encoding=encoding)
    columns = columns_of("district" if what == "districts" else "school", table, mapping or [])
    outcome = record.Outcome()
    with db.scoped(conn, db.CITY) as scoped:
        good = _checked(what, table, columns, datum, scoped, outcome)
        if outcome.refused and not take_good:
            good = []
        (record.write_districts if what == "districts" else record.write_schools)(scoped, good, outcome)
        if is_dry:
            raise psycopg.Rollback
        if outcome.new or outcome.changed:
            audit.write(
                scoped,
                None,
                "place.imported",
                what,
                reason=path.name,
                data={"new": outcome.new, "changed": outcome.changed, "refused": len(outcome.refused), "datum": datum},
            )
            outbox.put(scoped, "place.changed", "place.view", {"what": what, "new": outcome.new, "changed": outcome.changed})
    return outcome


def write_report(path: Path, outcome: record.Outcome) -> None:
    """Refused rows as CSV: line, reasons, then the row as it was; opens in Excel (UTF-8 with mark)."""
    columns = list(dict.fromkeys(name for refused in outcome.refused for name in refused.row))
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["line", "reasons", *columns])
        for refused in outcome.refused:
            writer.writerow([refused.line, "; ".join(map(str, refused.reasons)), *(refused.row.get(name, "") for name in columns)])


def main(settings: Settings, argv: list[str]) -> int:
    """The command; 0 when everything was taken, 1 when rows were refused, 2 when the file cannot be used."""
    parser = argparse.ArgumentParser(
        prog="app.py import", description="Import districts or schools from CSV, Excel, GeoJSON, GeoPackage or Shapefile."
    )
    parser.add_argument("what", choices=("districts", "schools"))
    parser.add_argument("file", type=Path)
    parser.add_argument("--datum", choices=DATUMS, required=True, help="of the coordinates in the file; it is never guessed")
    parser.add_argument("--map", action="append", default=[], metavar="OURS=THEIRS", help="our column = the file's column")
    parser.add_argument("--encoding", default="", help="of a CSV or Shapefile; else UTF-8, then GB 18030")
    parser.add_argument("--dry-run", action="store_true", help="say what would happen, write nothing")
    parser.add_argument("--take-good", action="store_true", help="write the good rows although others are refused")
    parser.add_argument("--report", type=Path, help="write refused rows with their reasons to this CSV")
    args = parser.parse_args(argv)
    try:
        with db.connect(settings.app_dsn) as conn:
            outcome = run(
                conn,
                args.what,
                args.file,
                datum=args.datum,
                mapping=args.map,
                encoding=args.encoding,
                is_dry=args.dry_run,
                take_good=args.take_good,
            )
        if args.report:
            write_report(args.report, outcome)
    except (sheet.UnreadableFile, BadMapping) as err:
        print(err, file=sys.stderr)
        return 2
    except psycopg.OperationalError as err:
        print(
            f"the database does not answer ({str(err).splitlines()[0]}); start the product with ./run, or set CAMPUS_DATABASE_URL",
            file=sys.stderr,
        )
        return 2
    verb = "would be " if args.dry_run else ""
    print(f"{outcome.new} {verb}new, {outcome.changed} {verb}changed, {outcome.same} unchanged, {len(outcome.refused)} refused")
    for refused in outcome.refused[:SHOWN]:
        print(f"  line {refused.line}: {'; '.join(map(str, refused.reasons))}")
    if len(outcome.refused) > SHOWN:
        print(f"  and {len(outcome.refused) - SHOWN} more; --report FILE writes them all")
    if outcome.refused and not args.take_good:
        print("nothing was written: correct the rows, or take the others with --take-good")
    return 1 if outcome.refused else 0
