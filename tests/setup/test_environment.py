"""pyproject.toml, the two lock files and environment.yml say the same."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

import yaml
from packaging.specifiers import SpecifierSet

from data.core.doctor import locked

ROOT = Path(__file__).parents[2]

# PyPI name -> conda-forge names where they differ; the first carries the pin.
CONDA_NAMES = {"redis": ["redis-py"], "prometheus-client": ["prometheus_client"], "psycopg": ["psycopg", "psycopg-c", "psycopg-pool"]}
SERVERS = {"python", "pip", "postgresql", "postgis", "redis-server", "ffmpeg"}


def _pins() -> dict[str, str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found = {}
    for requirement in project["dependencies"] + project["optional-dependencies"]["dev"]:
        name, version = requirement.split("==")
        found[name.partition("[")[0]] = version
    return found


def test_every_requirement_is_pinned_to_one_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for requirement in project["dependencies"] + project["optional-dependencies"]["dev"]:
        assert re.fullmatch(r"[a-z0-9-]+(\[[a-z,]+\])?==[0-9][0-9.]*", requirement), requirement


def test_environment_yml_has_the_pins_of_pyproject_and_nothing_else():
    listed = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    from_pip = next(entry["pip"] for entry in listed if isinstance(entry, dict))
    from_conda = {re.split("[=<>]", entry)[0]: entry for entry in listed if isinstance(entry, str)}
    wanted = set(SERVERS)
    by_pip = {requirement.partition("==")[0].partition("[")[0]: requirement.partition("==")[2] for requirement in from_pip}
    for name, version in _pins().items():
        if name in by_pip:
            assert by_pip[name] == version, name
            continue
        names = CONDA_NAMES.get(name, [name])
        assert from_conda.get(names[0]) == f"{names[0]}={version}", name
        wanted |= set(names)
    assert set(from_conda) == wanted
    assert set(by_pip) <= set(_pins())


def test_the_locks_hold_the_pins_and_agree_with_each_other():
    product, development = locked(ROOT / "requirements.lock"), locked(ROOT / "requirements-dev.lock")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for requirement in project["dependencies"]:
        name, version = requirement.split("==")
        assert product[name.partition("[")[0]] == version
    assert {name: version for name, version in development.items() if name in product} == product
    assert not {"pytest", "ruff", "basedpyright", "playwright"} & set(product), "development tools do not belong to ./run"
    assert {"pytest", "ruff", "basedpyright", "playwright"} <= set(development)


def test_every_locked_package_has_a_hash_and_no_address():
    for name in ("requirements.lock", "requirements-dev.lock", ".ci/uv.lock"):
        text = (ROOT / name).read_text()
        assert "http" not in text.replace("httpcore", "").replace("httptools", "").replace("httpx", ""), "a lock names no registry"
        for block in re.split(r"\n(?=[a-z])", text):
            assert "--hash=sha256:" in block, block.splitlines()[0]


def test_the_locks_can_be_installed_on_debian_12_whose_python_is_3_11_2():
    """A freeze made on a newer 3.11 cannot: soupsieve 4.1.2, for one, wants 3.11.5."""
    for name in ("requirements.lock", "requirements-dev.lock"):
        for package in locked(ROOT / name):
            said = metadata.metadata(package)
            needs = str(said.json.get("requires_python", ""))
            assert "3.11.2" in SpecifierSet(needs), f"{package} needs {needs}"
    assert (ROOT / "Makefile").read_text().count("--python-version 3.11 ") == 2
