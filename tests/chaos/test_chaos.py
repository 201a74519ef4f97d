"""Everything is killed with -9, in random order, and nothing is lost or done twice; without the spool's replay the same is lost.

CHAOS_SECONDS (default 25) is how long the random part lasts, CHAOS_SEED which order it takes.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import tempfile
import time
from pathlib import Path

import pytest

from data.core import audit, db, embedded, migrate
from data.core.settings import read
from tests.chaos.plant import CONSUMERS, Plant
from tests.ingest import town

SECONDS = float(os.environ.get("CHAOS_SECONDS", "25"))
SEED = int(os.environ.get("CHAOS_SEED", "20261122"))
AWAY_S, LONG_AWAY_S = 4.0, 60.0  # PostgreSQL away; a minute once in the long run
PEACE_S = 3.0 if SECONDS >= 300 else 1.0  # at most, between two blows

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(SECONDS * 3 + 240)]


@pytest.fixture
def build():
    """Plants with servers of their own in folders of their own."""
    plants: list[Plant] = []

    def make(**options) -> Plant:
        folder = Path(tempfile.mkdtemp(prefix="campus-chaos-"))
        folder.chmod(0o711)
        settings = read({"DATA_DIR": str(folder), "DEMO": "0"})
        embedded.prepare(settings)
        plant = Plant(settings, **options)
        plants.append(plant)
        plant.start("postgres")
        plant.start("redis")
        migrate.run(settings)
        with db.connect(settings.owner_dsn) as conn:
            town.build(conn)
        return plant

    yield make
    for plant in plants:
        plant.close()
        shutil.rmtree(plant.settings.data_dir, ignore_errors=True)


def say(capsys, plant: Plant, name: str, **more) -> None:
    count = plant.count()
    figures = {name_: getattr(count, name_) for name_ in ("emitted", "stored", "lost", "doubled", "waiting")}
    with capsys.disabled():
        print("\n" + json.dumps({"name": name, **figures, "kills": plant.kills, **more}))


def check_chains(plant: Plant) -> None:
    with db.connect(plant.settings.app_dsn) as conn:
        assert all(isinstance(found, int) for found in audit.verify(conn).values())


BLOWS = ("emitter", "one", "two", "both", "redis", "redis-cut", "redis-gone", "postgres", "postgres-away", "redis-and-postgres")


def hit(plant: Plant, dice: random.Random, blow: str, away_s: float) -> None:
    """One blow: kill somebody, perhaps make Redis forget, start it again as another process."""
    if blow in ("emitter", "one", "two"):
        plant.restart(blow, plant.kill(blow))
    elif blow == "both":
        gone = {name: plant.kill(name) for name in CONSUMERS}
        time.sleep(dice.uniform(0.2, 0.8))
        for name, pid in gone.items():
            plant.restart(name, pid)
    elif blow == "redis":
        plant.restart("redis", plant.kill("redis"))
    elif blow == "redis-cut":  # consumers lag, so what is cut was acknowledged to the sender and read by nobody
        gone = {name: plant.kill(name) for name in CONSUMERS}
        time.sleep(dice.uniform(0.3, 0.9))
        redis = plant.kill("redis")
        plant.cut_tail(20_000)
        plant.restart("redis", redis)
        for name, pid in gone.items():
            plant.restart(name, pid)
    elif blow == "redis-gone":
        redis = plant.kill("redis")
        plant.forget_all()
        plant.restart("redis", redis)
    elif blow == "redis-and-postgres":
        redis, postgres = plant.kill("redis"), plant.kill("postgres")
        plant.restart("postgres", postgres)
        plant.restart("redis", redis)
    else:
        postgres = plant.kill("postgres")
        time.sleep(away_s if blow == "postgres-away" else dice.uniform(0.0, 0.5))
        plant.restart("postgres", postgres)


def test_nothing_is_lost_or_doubled_whatever_is_killed_and_in_whatever_order(build, capsys):
    plant, dice, blows = build(rate=80), random.Random(SEED), []
    for name in (*CONSUMERS, "emitter"):
        plant.start(name)
    until, deck = time.monotonic() + SECONDS, []
    while time.monotonic() < until or deck:  # every blow falls, and falls as often as the others
        deck = deck or dice.sample(BLOWS, len(BLOWS))
        time.sleep(dice.uniform(0.2, PEACE_S))
        blow = deck.pop()
        hit(plant, dice, blow, LONG_AWAY_S if SECONDS >= 300 and blow not in blows else AWAY_S)
        blows.append(blow)
    plant.drain()
    say(capsys, plant, "chaos_random", seconds=SECONDS, seed=SEED, blows=len(blows))
    count = plant.count()
    assert set(blows) == set(BLOWS)
    assert count.emitted > SECONDS * 5
    assert (count.lost, count.doubled, count.waiting) == (0, 0, 0), blows
    assert plant.ask("select count(*) as n from dead_letter")["n"] == 0
    check_chains(plant)


@pytest.mark.parametrize("is_replayed", [True, False], ids=["with-replay", "without-replay"])
def test_what_redis_forgets_while_consumers_lag_is_sent_again_and_only_therefore_not_lost(build, capsys, is_replayed):
    """The twin without replay must lose events: it proves that this test can fail."""
    plant = build(rate=250, is_replayed=is_replayed)
    for name in (*CONSUMERS, "emitter"):
        plant.start(name)
    _wait(lambda: plant.ask("select count(*) as n from event")["n"] > 50)
    gone = {name: plant.kill(name) for name in CONSUMERS}
    before = plant.emitted()
    _wait(lambda: plant.emitted() > before + 250)
    redis = plant.kill("redis")
    cut = plant.cut_tail(40_000)
    plant.restart("redis", redis)
    for name, pid in gone.items():
        plant.restart(name, pid)
    plant.drain(patience_s=30 if is_replayed else 5)
    say(capsys, plant, "chaos_lagging_cut", replay=is_replayed, cut_bytes=cut)
    count = plant.count()
    assert count.emitted > 300
    assert count.doubled == 0
    if is_replayed:
        assert (count.lost, count.waiting) == (0, 0)
    else:
        assert count.lost > 0, "nothing was lost without replay: the test proves nothing"


def _wait(check, seconds: float = 20.0) -> None:
    until = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < until, "the plant did not get going"
        time.sleep(0.02)
