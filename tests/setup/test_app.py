"""The program, its settings and what is written about them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import app
from data.core import doctor, settings
from docs import make

ROOT = Path(__file__).parents[2]


def _run(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "app.py", *words], cwd=ROOT, env={"PATH": os.environ["PATH"]} | env, capture_output=True, text=True, check=False
    )


def test_help_says_every_command():
    said = _run("--help").stdout
    for name, (_, _, what) in app.COMMANDS.items():
        assert name in said
        assert what in said


@pytest.mark.parametrize("words", [["nothing"], ["demo"], ["demo", "press"], ["demo", "press", "1", "2"], ["up", "now"], []])
def test_a_wrong_use_is_answered_with_the_usage(words):
    done = _run(*words)
    assert done.returncode == 2
    assert "usage: app.py" in done.stderr


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("PORT", "eighty", "a whole number is needed"),
        ("PORT", "70000", "allowed is 1 to 65535"),
        ("DEMO", "maybe", "use 1 or 0"),
        ("DEMO_POLL_MS", "50", "allowed is 100 to 60000"),
        ("CAMPUS_LANG", "fr", "zh or en"),
        ("CAMPUS_CONFIG", "/nowhere.toml", "No such file"),
    ],
)
def test_a_setting_that_cannot_be_is_one_sentence(name, value, said):
    done = _run("doctor", **{name: value})
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_long_name_wins_over_the_short_one_and_both_over_the_file(tmp_path):
    config = tmp_path / "campus.toml"
    config.write_text('port = 1000\nlang = "en"\ndemo = false\n')
    read = settings.read({"CAMPUS_CONFIG": str(config), "PORT": "2000", "CAMPUS_PORT": "3000"})
    assert (read.port, read.lang, read.demo) == (3000, "en", False)
    assert settings.read({"CAMPUS_CONFIG": str(config), "PORT": "2000"}).port == 2000
    config.write_text("prot = 1\n")
    with pytest.raises(settings.BadSetting, match="unknown setting prot"):
        settings.read({"CAMPUS_CONFIG": str(config)})


def test_the_reference_says_what_the_code_says():
    assert make.stale() == []


@pytest.mark.parametrize("role", ["devices.worker", "vision.gate"])
def test_a_gate_computer_needs_no_database_and_no_web(role):
    """These may run far from the server: what they import must not bring psycopg or dash along."""
    heavy = "{'psycopg', 'dash', 'fastapi', 'pandas'}"
    code = f"import sys, {role}; print(sorted({{name.partition('.')[0] for name in sys.modules}} & {heavy}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_doctor_finds_nothing_missing_beside_running_servers(database):
    found = {finding.thing: finding for finding in doctor.examine(database.settings)}
    assert found["schema"].state == doctor.OK
    assert found["pipe"].state == doctor.OK
    assert found["packages"].state == doctor.OK
    assert not [finding for finding in found.values() if finding.state == doctor.MISSING]


def test_doctor_says_how_to_get_what_is_missing():
    done = _run("doctor", DATA_DIR="/proc/nowhere", PORT="1", CAMPUS_DATABASE_URL="host=/nowhere dbname=campus user=app", TLS="1")
    lines = {line.split()[1]: line for line in done.stdout.splitlines() if line.startswith("missing")}
    assert done.returncode == 1
    assert {"data", "database", "tls"} <= set(lines)
    assert "check CAMPUS_DATABASE_URL" in lines["database"]
    assert "run `python app.py tls`" in lines["tls"]


def test_migrate_starts_the_private_server_for_as_long_as_it_takes(open_dir):
    first, second = _run("migrate", DATA_DIR=str(open_dir)), _run("migrate", DATA_DIR=str(open_dir))
    assert "migrations applied" in first.stdout
    assert "the database is up to date" in second.stdout
    assert not settings.read({"DATA_DIR": str(open_dir)}).run_dir.exists()
