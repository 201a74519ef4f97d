"""The players come in through the doors phones and recorders use, and through no other."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
import redis as redis_client

from data.core import db, tls
from data.core.settings import Settings, read
from data.demo import files, players
from data.demo.door import Door, Shut, Turned
from data.demo.phones import Phones, place_on
from data.demo.recorder import BAD_SHARE, Recorders
from devices.demo import control_socket
from mapapp import web
from tests.conftest import Database


@pytest.fixture
def served(redis: redis_client.Redis, small_city: Database) -> Iterator[Settings]:
    """Settings of a small city whose web answers."""
    listener = socket.create_server(("127.0.0.1", 0))
    settings = replace(small_city.settings, port=listener.getsockname()[1])
    server = web.Server(web.create_app(settings))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    until = time.monotonic() + 20
    while not server.started and time.monotonic() < until:
        time.sleep(0.01)
    yield settings
    server.should_exit = True
    thread.join(10)
    assert not thread.is_alive()


@pytest.fixture
def read_only(small_city: Database) -> Iterator[db.Connection]:
    with small_city.connect() as conn:
        conn.autocommit = True
        yield conn


def one(conn: db.Connection, statement: Any) -> Any:
    return next(iter((conn.execute(statement).fetchone() or {}).values()))


def _phones(settings: Settings, door: Door) -> Phones:
    script, tokens = (json.loads(file.read_text()) for file in (files.phones_file(settings), files.tokens_file(settings)))
    return Phones(door, script, tokens, is_quiet=False)


@pytest.fixture
def door(served: Settings) -> Iterator[Door]:
    with Door(served) as opened:
        yield opened


def test_a_unit_drives_its_way_to_the_end_and_back() -> None:
    way = [(114.0, 22.5, 0.0), (114.1, 22.5, 100.0), (114.1, 22.6, 200.0)]
    assert place_on(way, 0) == (114.0, 22.5)
    assert place_on(way, 50) == pytest.approx((114.05, 22.5))
    assert place_on(way, 150) == pytest.approx((114.1, 22.55))
    assert place_on(way, 200) == pytest.approx((114.1, 22.6))
    assert place_on(way, 250) == pytest.approx(place_on(way, 150))
    assert place_on(way, 400) == pytest.approx(place_on(way, 0))


def test_phones_move_their_units_through_the_api(served: Settings, door: Door, read_only: db.Connection) -> None:
    phones = _phones(served, door)
    for number in range(3):
        phones.report(number, elapsed_s=600.0)
    moved = read_only.execute("select unit_id, demo, ST_X(geom) as lon from unit where position_at is not null order by unit_id").fetchall()
    assert [row["unit_id"] for row in moved] == [1, 2, 3]
    assert one(read_only, "select count(*) from fix where unit_id <= 3 and at > now() - interval '1 minute' and demo") == 3


def test_a_call_for_help_of_a_phone_is_an_alarm_marked_as_demo(served: Settings, door: Door, read_only: db.Connection) -> None:
    phones = _phones(served, door)
    phones.call(2, elapsed_s=10.0)
    alarms = read_only.execute("select kind, demo, state from alarm where state <> 'closed'").fetchall()
    assert alarms == [{"kind": "sos", "demo": True, "state": "open"}]


def test_recorders_vouch_for_every_camera_that_does_not_stream(served: Settings, door: Door, read_only: db.Connection) -> None:
    script, tokens = (json.loads(file.read_text()) for file in (files.recorders_file(served), files.tokens_file(served)))
    recorders = Recorders(door, script, tokens["recorder"], is_quiet=False)
    for batch in recorders.batches:
        answer = recorders.report(batch)
        assert answer["unknown"] == []
    states = {
        row["state"]: row["cameras"] for row in read_only.execute("select state, count(*) as cameras from camera group by state").fetchall()
    }
    total = sum(states.values())
    assert states["unknown"] == 24  # those stream; nobody has looked at them yet
    assert total - states["ok"] - 24 == pytest.approx(BAD_SHARE * total, abs=1)
    assert one(read_only, "select count(*) from camera where state <> 'unknown' and evidence <> 'recorder'") == 0
    assert one(read_only, "select count(*) from outage where until is null and demo") == total - states["ok"] - 24


@pytest.mark.parametrize(
    ("path", "login"), [("/api/v1/recorders/status", "unit-001"), ("/api/v1/positions", "recorder"), ("/api/v1/positions", "nobody")]
)
def test_a_token_opens_its_own_door_only(served: Settings, door: Door, path: str, login: str) -> None:
    tokens = json.loads(files.tokens_file(served).read_text())
    with pytest.raises(Turned, match=r"40[134]"):
        door.post(path, [], tokens.get(login, "cst_nobody"))


def test_a_door_that_is_shut_says_so_and_phones_wait(small_city: Database, free_port: Callable[[], int]) -> None:
    settings = replace(small_city.settings, port=free_port())
    door, stop = Door(settings), threading.Event()
    with pytest.raises(Shut):
        door.post("/api/v1/positions", [], "x")
    phones = _phones(settings, door)
    thread = threading.Thread(target=phones.run, args=(stop,))
    thread.start()
    stop.set()
    thread.join(5)
    assert not thread.is_alive()
    assert phones.sent == 0


class _Echo(BaseHTTPRequestHandler):
    """Answers a POST with what it was sent and the token it came with."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        body = json.dumps({"sent": sent, "token": self.headers["Authorization"]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_a_door_trusts_the_citys_own_authority_and_no_other(database: Database) -> None:
    tls.ensure(database.settings)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(database.settings.tls_dir / "server.crt", database.settings.tls_dir / "server.key")
    with HTTPServer(("127.0.0.1", 0), _Echo) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        settings = replace(database.settings, tls=True, port=server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            with Door(settings) as door:
                assert door.post("/x", [1], "t") == door.post("/x", [1], "t") == {"sent": [1], "token": "Bearer t"}
            (settings.tls_dir / "ca.crt").unlink()
            (settings.secret_dir / "ca.key").unlink()
            tls.ensure(settings)  # another authority; the server still shows the old one's word
            with Door(settings) as door, pytest.raises(Shut, match="CERTIFICATE_VERIFY_FAILED"):
                door.post("/x", [1], "t")
        finally:
            server.shutdown()
            thread.join(5)


def test_players_know_neither_the_database_nor_the_drawing() -> None:
    seen = (
        "import sys, data.demo.players; print([name for name in ('psycopg', 'shapely', 'numpy', 'cv2', 'pymodbus') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", seen], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_a_child_player_gets_the_same_settings(small_city: Database) -> None:
    again = read(players.environment(small_city.settings))
    assert replace(again, demo_password="") == replace(small_city.settings, demo_password="")


def test_the_module_player_is_started_started_again_and_stopped(
    small_city: Database, free_port: Callable[[], int], wait_for: Callable[..., Any]
) -> None:
    settings = replace(small_city.settings, port=free_port(), demo_quiet=True)
    player, env = players.Player("modules"), players.environment(settings)
    player.tick(env)
    wait_for(lambda: control_socket(settings).exists(), seconds=30)
    assert player.process is not None
    player.process.kill()
    player.process.wait()
    player.tick(env)
    assert player.process is None
    control_socket(settings).unlink()  # left behind by the one that was killed
    player.due = 0.0
    player.tick(env)
    wait_for(lambda: control_socket(settings).exists(), seconds=30)
    assert player.process is not None
    player.process.terminate()
    player.stop(time.monotonic() + 20)
    assert player.process.returncode == 0


def test_without_a_city_the_players_say_so_and_end(database: Database) -> None:
    assert players.run(database.settings, threading.Event()) == 1
