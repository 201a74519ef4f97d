"""Model files: which are known, whether the file is the known one, and whether it does what its contract says.

A model is used only when its sha256 is in the manifest of the product (`manifest.toml` beside this module) or in one an
administrator put into the models folder. `app.py models check|list|install DIR|URL` shows and brings them.

Errors:

    ModelRefused
    ├── ModelMissing     the file is not in the folder
    ├── WrongHash        the file is not the one the manifest names
    ├── WrongContract    it loads, but takes or gives something else; or it does not load
    └── BadManifest      a manifest that cannot be read or contradicts the product's own
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import subprocess
import sys
import tomllib
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.core.settings import Settings
from vision.align import SIDE_PX
from vision.detect import NET_ERRORS, OUTPUTS, Detector, session
from vision.embed import LENGTH, Embedder

BUILT_IN = Path(__file__).with_name("manifest.toml")
CONTRACTS = ("yunet", "align128-bgr-256")
MAX_BYTES = 512 * 1024 * 1024
DOWNLOAD_S = 30.0


class ModelRefused(ValueError):
    """A model that must not be used; `reason` is the code a person is shown."""

    reason = "model_refused"


class ModelMissing(ModelRefused):
    """The file is not there."""

    reason = "no_models"


class WrongHash(ModelRefused):
    """The file is not the one that was checked."""

    reason = "wrong_hash"


class WrongContract(ModelRefused):
    """The network does not take or give what its contract says."""

    reason = "wrong_contract"


class BadManifest(ModelRefused):
    """The manifest cannot be used."""

    reason = "bad_manifest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One file of a manifest."""

    file: str
    contract: str
    bytes: int
    sha256: str
    licence: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pack:
    """A detector and an embedder that work together; `kind` demo is for drawn faces on demo cameras only."""

    name: str
    kind: str
    detector: Model
    embedder: Model

    @property
    def sha256(self) -> str:
        """What a template, an assessment and a gate name: the embedder decides what can be compared."""
        return self.embedder.sha256

    @property
    def is_demo(self) -> bool:
        return self.kind == "demo"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A pack ready to run."""

    pack: Pack
    detector: Detector
    embedder: Embedder


def _table(path: Path) -> tuple[dict[str, Model], list[dict[str, str]]]:
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
        models = {item["file"]: Model(**item) for item in raw.get("model", [])}
        packs = [{key: str(item[key]) for key in ("name", "kind", "detector", "embedder")} for item in raw.get("pack", [])]
    except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError) as err:
        raise BadManifest(f"{path}: {err}") from err
    for model in models.values():
        if model.contract not in CONTRACTS or Path(model.file).name != model.file or len(model.sha256) != 64:
            raise BadManifest(f"{path}: {model.file}: unknown contract, a path instead of a name, or no sha256")
    return models, packs


def packs(folder: Path) -> list[Pack]:
    """The packs the product knows and those the folder's own manifest adds, real ones first.

    Raises:
        BadManifest: the folder's manifest cannot be read, renames a known file, or calls itself demo.
    """
    models, rows = _table(BUILT_IN)
    own = folder / "manifest.toml"
    if own.exists():
        more, more_rows = _table(own)
        for name, model in more.items():
            if models.get(name, model) != model:
                raise BadManifest(f"{own}: {name} is known with another hash or contract")
        if any(row["kind"] != "real" for row in more_rows):
            raise BadManifest(f"{own}: a folder adds packs of kind real only")
        names = {row["name"] for row in rows}
        models, rows = models | more, rows + [row for row in more_rows if row["name"] not in names]
    try:
        found = [
            Pack(name=row["name"], kind=row["kind"], detector=models[row["detector"]], embedder=models[row["embedder"]]) for row in rows
        ]
    except KeyError as err:
        raise BadManifest(f"{own}: no model {err}") from err
    return sorted(found, key=lambda pack: pack.is_demo)


def read(folder: Path, model: Model) -> bytes:
    """The bytes of a model whose hash is right. Raises: ModelMissing, WrongHash."""
    path = folder / model.file
    try:
        if path.stat().st_size != model.bytes:
            raise WrongHash(f"{path}: {path.stat().st_size} bytes, the manifest says {model.bytes}")
        found = path.read_bytes()
    except FileNotFoundError as err:
        raise ModelMissing(f"{path} is missing") from err
    except OSError as err:
        raise ModelMissing(f"{path} cannot be read: {err.strerror}") from err
    sha256 = hashlib.sha256(found).hexdigest()
    if sha256 != model.sha256:
        raise WrongHash(f"{path}: sha256 {sha256[:12]}…, the manifest says {model.sha256[:12]}…")
    return found


def check_contract(model: Model, content: bytes) -> None:
    """Raises: WrongContract."""
    try:
        net = session(content)
        taken = net.get_inputs()
        given = {item.name for item in net.get_outputs()}
        if model.contract == "yunet":
            if len(taken) != 1 or taken[0].type != "tensor(float)" or not set(OUTPUTS) <= given:
                raise WrongContract(f"{model.file}: not the inputs and outputs of a YuNet")
            Detector(content).find(np.zeros((96, 128, 3), np.uint8))
        elif len(taken) != 1 or Embedder(content).embed(np.zeros((SIDE_PX, SIDE_PX, 3), np.uint8)).shape != (LENGTH,):
            raise WrongContract(f"{model.file}: does not give {LENGTH} numbers for a face of {SIDE_PX} px")
    except (*NET_ERRORS, IndexError, KeyError) as err:
        if isinstance(err, WrongContract):
            raise
        raise WrongContract(f"{model.file}: {str(err).splitlines()[0]}") from err


def load(folder: Path, pack: Pack) -> Loaded:
    """Both networks of a pack, hashes checked. Raises: ModelMissing, WrongHash, WrongContract."""
    detector, embedder = read(folder, pack.detector), read(folder, pack.embedder)
    try:
        return Loaded(pack, Detector(detector), Embedder(embedder))
    except NET_ERRORS as err:
        raise WrongContract(f"{pack.name}: {str(err).splitlines()[0]}") from err


def demo_folder(settings: Settings) -> Path:
    """Where the demo pack is made; apart from the real models, so that nobody takes one for the other."""
    return settings.data_dir / "models-demo"


def ensure_demo(settings: Settings) -> Path:
    """The folder with the demo pack, made now if it is not there or not right. Its hashes are checked by `load` like any other's."""
    folder = demo_folder(settings)
    pack = next(pack for pack in packs(folder) if pack.is_demo)
    try:
        for model in (pack.detector, pack.embedder):
            read(folder, model)
    except ModelRefused:
        # A child: building needs `onnx`, 60 MB this worker would keep for life. What went wrong is seen by who loads the pack.
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run([sys.executable, "-m", "vision.demo_pack", str(folder)], cwd=Path(__file__).parents[1], check=False, timeout=60)
    return folder


def state(folder: Path, pack: Pack) -> str:
    """`ready`, or the reason why a pack cannot be used."""
    try:
        for model in (pack.detector, pack.embedder):
            check_contract(model, read(folder, model))
    except ModelRefused as err:
        return err.reason
    return "ready"


def _fetch(source: str, name: str, to: Path) -> bool:
    """Copy one file from a folder or from below a URL; False when it is not there. Raises: ModelRefused, OSError."""
    if "://" not in source:
        if not (Path(source) / name).is_file():
            return False
        shutil.copyfile(Path(source) / name, to)
        return True
    if not source.startswith(("https://", "http://")):
        raise ModelRefused(f"{source}: use a folder, or an address that begins with https:// or http://")
    try:
        with urllib.request.urlopen(f"{source.rstrip('/')}/{name}", timeout=DOWNLOAD_S) as answer, to.open("wb") as out:
            taken = 0
            while chunk := answer.read(1 << 20):
                taken += len(chunk)
                if taken > MAX_BYTES:
                    raise ModelRefused(f"{name}: more than {MAX_BYTES} bytes")
                out.write(chunk)
    except urllib.error.HTTPError as err:
        err.close()
        if err.code == 404:
            return False
        raise ModelRefused(f"{source}: {err}") from err
    except urllib.error.URLError as err:
        raise ModelRefused(f"{source}: {err}") from err
    return True


def install(source: str, folder: Path) -> list[str]:
    """Bring every known real model that `source` (a folder or a URL) has into `folder`; each is checked before it counts.

    Returns:
        The names of the files that are now there.
    Raises:
        ModelRefused: a file is not what the manifest says; what was there before stays.
    """
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {model.file: model for pack in packs(folder) if not pack.is_demo for model in (pack.detector, pack.embedder)}
    taken = []
    for name, model in wanted.items():
        part = folder / f"{name}.part"
        try:
            if _fetch(source, name, part):
                check_contract(model, _checked(part, model))
                part.replace(folder / name)
                taken.append(name)
        finally:
            part.unlink(missing_ok=True)
    return taken


def _checked(path: Path, model: Model) -> bytes:
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != model.sha256:
        raise WrongHash(f"{model.file}: not the file of the manifest (sha256 {hashlib.sha256(content).hexdigest()[:12]}…)")
    return content


def main(settings: Settings, argv: list[str]) -> int:
    """`app.py models list|check|install DIR|URL`: 0 when all is well, 1 when a model is missing or refused, 2 for a wrong use."""
    folder = settings.models
    try:
        if argv == ["list"] or argv == ["check"]:
            ready = [_say(folder, pack, is_full=argv == ["list"]) for pack in packs(folder) if not pack.is_demo]
            return 0 if argv == ["list"] or all(ready) else 1
        if len(argv) == 2 and argv[0] == "install":
            taken = install(argv[1], folder)
            for name in taken:
                print(f"installed {name} in {folder}")
            if not taken:
                print(f"{argv[1]} has none of the known models; see `app.py models list`", file=sys.stderr)
            return 0 if taken else 1
    except ModelRefused as err:
        print(f"{err.reason}: {err}", file=sys.stderr)
        return 1
    except OSError as err:
        print(f"{folder}: {err.strerror}", file=sys.stderr)
        return 1
    print("use: app.py models list | check | install DIR|URL", file=sys.stderr)
    return 2


def _say(folder: Path, pack: Pack, *, is_full: bool) -> bool:
    found = state(folder, pack)
    print(f"{pack.name}: {found}")
    if is_full:
        for model in (pack.detector, pack.embedder):
            print(f"  {model.file}  {model.bytes} bytes  {model.licence}  sha256 {model.sha256}\n    {model.source}")
    return found == "ready"
