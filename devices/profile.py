"""Profiles: what a type of module offers, read from profiles/*.toml and checked before any module is polled.

Addresses are zero-based PDU addresses. A profile says how presses can be seen (`capture`, best first): `counter` and
`latch` lose no press, `level` sees only what is still pressed at the next poll. `checked` says where the addresses were
proved: on a `device`, in the `manual`, or not at all (`none`: not for panic buttons).
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devices.link import Read

FOLDER = Path(__file__).parent / "profiles"
TRANSPORTS = ("tcp", "rtu", "rtu-over-tcp", "rtu-dial-in")
CHECKED = ("device", "manual", "none")
CAPTURES = ("counter", "latch", "level")
READ_CODES, WRITE_CODES = (1, 2, 3, 4), (5, 6, 15, 16)
MOST = {1: 2000, 2: 2000, 3: 125, 4: 125}  # bits or registers of one request, Modbus specification V1.1b3


class BadProfiles(ValueError):
    """One or more profiles cannot be used; `errors` has a line for each fault found, all files."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors


@dataclass(frozen=True, slots=True)
class Write:
    """A write of `value` at `address + stride * channel`; `value` None: the caller says."""

    fc: int
    address: int
    stride: int
    value: int | None = None

    def at(self, channel: int) -> int:
        return self.address + self.stride * channel


@dataclass(frozen=True, slots=True)
class Map:
    """Where a channel's value lies in a polled block."""

    block: Read
    offset: int
    stride: int
    words: str = ""  # "" one register or bit; "hi-lo" or "lo-hi" two registers

    @property
    def width(self) -> int:
        return 2 if self.words else 1

    @property
    def modulus(self) -> int:
        return 1 << (16 * self.width)

    def narrowed(self, channels: list[int]) -> Read:
        """The smallest request that covers these channels (in ascending order)."""
        first, last = channels[0], channels[-1]
        address = self.block.address + self.offset + self.stride * first
        return Read(self.block.fc, address, self.stride * (last - first) + self.width)

    def value(self, answer: Any, channel: int, first: int) -> int:
        """The channel's value in the answer to `narrowed`, whose first channel is `first`."""
        at = self.stride * (channel - first)
        if not self.words:
            return int(answer[at])
        high, low = (answer[at], answer[at + 1]) if self.words == "hi-lo" else (answer[at + 1], answer[at])
        return high << 16 | low


@dataclass(frozen=True, slots=True)
class Setup:
    """Registers written once per connection and read back."""

    fc: int
    address: int
    values: tuple[int, ...]
    verify: Read


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One type of module."""

    id: str
    name: str  # the file's name without .toml, accepted where the id is
    source: str
    checked: str
    transports: tuple[str, ...]
    unit: int
    max_connections: int
    identity: Read | None
    identity_equals: tuple[int, ...]
    setups: tuple[Setup, ...]
    input_count: int
    captures: tuple[str, ...]
    level: Map | None
    counter: Map | None
    counter_start: Write | None
    latch: Map | None
    latch_clear: Write | None
    output_count: int
    output_write: Write | None
    output_readback: Map | None

    def capture_for(self, wanted: str | None) -> str:
        """The capture of a channel: the one the site asks for, else the best there is."""
        return wanted or self.captures[0]


class _Table:
    """A TOML table that is read key by key and reports what is wrong or left over."""

    def __init__(self, raw: Any, where: str, errors: list[str]) -> None:
        self._where, self._errors = where, errors
        self._raw: dict[str, Any] = dict(raw) if isinstance(raw, dict) else {}
        if not isinstance(raw, dict):
            errors.append(f"{where}: a table is needed")

    def __bool__(self) -> bool:
        return bool(self._raw)

    def error(self, text: str) -> None:
        self._errors.append(f"{self._where}: {text}")

    def number(self, key: str, low: int, high: int, default: int | None = None) -> int:
        value = self._raw.pop(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self.error(f"{key} must be a whole number from {low} to {high}, not {value!r}")
            return low
        return value

    def choice(self, key: str, allowed: tuple[Any, ...], default: Any = None) -> Any:
        value = self._raw.pop(key, default)
        if value not in allowed or isinstance(value, bool):
            self.error(f"{key} must be one of {', '.join(map(str, allowed))}, not {value!r}")
            return allowed[0]
        return value

    def text(self, key: str) -> str:
        value = self._raw.pop(key, "")
        if not isinstance(value, str) or not value:
            self.error(f"{key} must be a text")
            return ""
        return value

    def words(self, key: str, allowed: tuple[str, ...]) -> tuple[str, ...]:
        value = self._raw.pop(key, None)
        if not isinstance(value, list) or not value or not set(value) <= set(allowed) or len(set(value)) != len(value):
            self.error(f"{key} must list some of {', '.join(allowed)}, each once")
            return allowed[:1]
        return tuple(value)

    def numbers(self, key: str, high: int, *, is_needed: bool) -> tuple[int, ...]:
        value = self._raw.pop(key, [])
        if not isinstance(value, list) or any(isinstance(v, bool) or not isinstance(v, int) or not 0 <= v <= high for v in value):
            self.error(f"{key} must list whole numbers from 0 to {high}")
            return ()
        if is_needed and not value:
            self.error(f"{key} must not be empty")
        return tuple(value)

    def sub(self, key: str) -> _Table | None:
        return _Table(self._raw.pop(key), f"{self._where}.{key}", self._errors) if key in self._raw else None

    def subs(self, key: str) -> list[_Table]:
        value = self._raw.pop(key, [])
        if not isinstance(value, list):
            self.error(f"{key} must be written as [[{key}]]")
            return []
        return [_Table(item, f"{self._where}.{key}[{number}]", self._errors) for number, item in enumerate(value)]

    def done(self) -> None:
        for key in self._raw:
            self.error(f"unknown key {key}")


def _read(table: _Table) -> Read:
    fc = table.choice("fc", READ_CODES)
    read = Read(fc, table.number("addr", 0, 65535), table.number("count", 1, MOST[fc]))
    if read.address + read.count > 65536:
        table.error("the request ends beyond address 65535")
    table.done()
    return read


def _write(table: _Table | None, *, has_value: bool) -> Write | None:
    if table is None:
        return None
    fc, address, stride = table.choice("fc", WRITE_CODES), table.number("addr", 0, 65535), table.number("stride", 1, 1000)
    value = None
    if has_value:
        raw = table._raw.pop("value", None)
        if not isinstance(raw, int) or not 0 <= raw <= 65535:
            table.error(f"value must be true, false or a number, not {raw!r}")
        value = int(raw or 0)
    table.done()
    return Write(fc, address, stride, value)


def _map(table: _Table | None, blocks: Mapping[str, Read], channels: int, *, is_counter: bool) -> Map | None:
    if table is None:
        return None
    name = table.text("block")
    offset, stride, words = table.number("offset", 0, 2000), table.number("stride", 1, 1000), ""
    if is_counter:
        if table.choice("type", ("u32", "u16")) == "u32":
            words = table.choice("words", ("hi-lo", "lo-hi"))
        table.choice("edge", ("rising",))
    table.done()
    block = blocks.get(name)
    if block is None:
        table.error(f"block {name!r} is not polled")
        return None
    found = Map(block, offset, stride, words)
    if is_counter != (block.fc in (3, 4)):
        table.error(f"block {name!r} holds {'bits' if is_counter else 'registers'}")
    if offset + stride * (channels - 1) + found.width > block.count:
        table.error(f"channel {channels - 1} lies outside block {name!r} of {block.count}")
    return found


def _bits(table: _Table | None, channels: int) -> Map | None:
    """A map of bits that are read by a request of their own (latches, read-back)."""
    if table is None:
        return None
    fc, address, stride = table.choice("fc", (1, 2)), table.number("addr", 0, 65535), table.number("stride", 1, 1000)
    count = stride * (channels - 1) + 1
    if count > MOST[fc]:
        table.error(f"{channels} channels with stride {stride} do not fit into one request")
    return Map(Read(fc, address, min(count, MOST[fc])), 0, stride)


def parse(raw: Mapping[str, Any], name: str) -> Profile:
    """One profile from its TOML.

    Raises:
        BadProfiles: with every fault of it.
    """
    errors: list[str] = []
    top = _Table(dict(raw), name, errors)
    head = top.sub("profile") or _Table({}, f"{name}.profile", errors)
    profile_id, source, checked = head.text("id"), head.text("source"), head.choice("checked", CHECKED)
    transports, unit = head.words("transport", TRANSPORTS), head.number("unit", 1, 255, 1)
    max_connections = head.number("max_connections", 1, 64, 1)
    head.done()

    identity, equals = None, ()
    identity_table = top.sub("identity")
    if identity_table:
        read_table = identity_table.sub("read")
        identity = _read(read_table) if read_table else None
        if identity is None:
            identity_table.error("read is missing")
        equals = identity_table.numbers("equals", 65535, is_needed=False)
        identity_table.done()

    setups = []
    for table in top.subs("init"):
        fc, address = table.choice("fc", WRITE_CODES), table.number("addr", 0, 65535)
        values, verify = table.numbers("values", 65535, is_needed=True), table.sub("verify")
        if verify is None:
            table.error("verify is missing: a setting is only made when it was read back")
        table.done()
        if verify is not None:
            setups.append(Setup(fc, address, values, _read(verify)))

    blocks: dict[str, Read] = {}
    for table in top.subs("poll"):
        block_name = table.text("name")
        if block_name in blocks:
            table.error(f"block {block_name!r} is there twice")
        blocks[block_name] = _read(table)

    inputs = top.sub("inputs") or _Table({}, f"{name}.inputs", errors)
    count, captures = inputs.number("count", 1, 256), inputs.words("capture", CAPTURES)
    level = _map(inputs.sub("level"), blocks, count, is_counter=False)
    counter = _map(inputs.sub("counter"), blocks, count, is_counter=True)
    counter_start = _write(inputs.sub("counter_start"), has_value=True)
    _write(inputs.sub("counter_clear"), has_value=True)  # differences are counted, so a counter is never cleared
    latch_table = inputs.sub("latch")
    latch_clear = _write(latch_table.sub("clear"), has_value=True) if latch_table else None
    latch = _bits(latch_table, count)
    if latch_table:
        latch_table.done()
    for capture, found in (("level", level), ("counter", counter), ("latch", latch and latch_clear)):
        if capture in captures and found is None:
            inputs.error(f"capture {capture} has no complete map")
    inputs.done()

    output_count, output_write, readback = 0, None, None
    outputs = top.sub("outputs")
    if outputs:
        output_count = outputs.number("count", 1, 256)
        output_write = _write(outputs.sub("write"), has_value=False)
        readback_table = outputs.sub("readback")
        readback = _bits(readback_table, output_count)
        if readback_table:
            readback_table.done()
        if output_write is None or readback is None:
            outputs.error("write and readback are both needed: what is not read back is not confirmed")
        outputs.done()
    top.done()
    if errors:
        raise BadProfiles(errors)
    return Profile(
        id=profile_id, name=name, source=source, checked=checked, transports=transports, unit=unit, max_connections=max_connections,
        identity=identity, identity_equals=equals, setups=tuple(setups), input_count=count, captures=captures, level=level,
        counter=counter, counter_start=counter_start, latch=latch, latch_clear=latch_clear, output_count=output_count,
        output_write=output_write, output_readback=readback,
    )  # fmt: skip


def load(folder: Path = FOLDER) -> dict[str, Profile]:
    """Every profile of a folder by its id and by its file's name.

    Raises:
        BadProfiles: with every fault of every file, and ids that are used twice.
    """
    errors: list[str] = []
    found: dict[str, Profile] = {}
    for path in sorted(folder.glob("*.toml")):
        try:
            profile = parse(tomllib.loads(path.read_text(encoding="utf-8")), path.stem)
        except BadProfiles as err:
            errors += err.errors
            continue
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as err:
            errors.append(f"{path.stem}: {err}")
            continue
        for key in {profile.id, profile.name}:
            if key in found:
                errors.append(f"{path.stem}: {key} is also the id or the file of {found[key].name}")
            found[key] = profile
    if errors:
        raise BadProfiles(errors)
    return found
