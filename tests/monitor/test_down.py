"""What goes down to the workers: commands and configurations, signed, in order, with an end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from data.core import db, schedule, stream
from data.core.desired import Desired, load_public_key
from data.core.events import Kind
from data.ingest import deadlines, handlers
from data.rooms import monitor, response
from tests.ingest import town
from tests.ingest.town import happened, person, press


@pytest.fixture
def link(city):
    with city.connect() as conn:
        conn.autocommit = True
        yield conn


@pytest.fixture
def timed(city):
    """The timed jobs of ingest, running."""
    running = deadlines.schedules_of(city.settings)
    for jobs in running:
        jobs.start()
    yield running
    for jobs in running:
        jobs.stop()


@pytest.fixture
def worker(city, redis, timed, wait_for):
    """The worker devices-1 as it hears ingest."""
    key = load_public_key(city.settings.secret_dir, wait_s=5)
    return Desired(stream.connect(city.settings.redis), "devices-1", key, None)


def request(link, device_id=town.NORTH, channel=0, act="on", on_s=0, principal=None, **options):
    who = principal or person()
    with db.scoped(link, who.scope) as conn:
        return monitor.request_command(conn, who, device_id, channel, act, on_s, **options)


def answer(link, kind, command_id, number=1, **data):
    with db.scoped(link, db.CITY) as conn:
        handlers.store(conn, [happened(kind, "mod-n", 0, number, data={"command_id": command_id, "ms": 41.7, **data})])


def state(link):
    return link.execute("select state, reason, answer_ms, on_s from command order by fence desc").fetchone()


def test_a_siren_is_asked_for_signed_sent_and_confirmed_and_stands_in_the_alarms_history(link, worker, wait_for):
    with db.scoped(link, db.CITY) as conn:
        handlers.store(conn, [press()])
        alarm_id = response.open_alarms(conn)[0]["alarm_id"]
    body = request(link, alarm_id=alarm_id)
    assert (body["state"], body["zone"], body["on_s"], body["requested_by_en"], body["school_id"]) == (
        "requested",
        "siren",
        120,
        "Ann",
        town.NORTH,
    )
    [command] = wait_for(lambda: worker.commands(100))
    assert (command["device"], command["channel"], command["act"], command["on_s"], command["max_on_s"]) == ("mod-n", 0, "on", 120, 120)
    assert command["command_id"] == body["command_id"]
    wait_for(lambda: state(link)["state"] == "sent")
    answer(link, Kind.OUTPUT_CONFIRMED, body["command_id"])
    answer(link, Kind.OUTPUT_FAILED, body["command_id"], number=2, reason="readback")
    assert (state(link)["state"], state(link)["answer_ms"]) == ("confirmed", 41)
    with db.scoped(link, db.CITY) as conn:
        acts = [step["act"] for step in response.alarm_detail(conn, alarm_id)["steps"]]
        told = [row["body"]["state"] for row in conn.execute("select body from outbox where kind = 'command.changed' order by seq")]
    assert acts[:3] == ["raised", "commanded", "output_confirmed"]
    assert told == ["requested", "sent", "confirmed"]
    assert link.execute("select act, object from audit").fetchall() == [{"act": "device.command", "object": f"device:{town.NORTH}"}]


def test_a_command_nobody_answers_expires_and_a_late_answer_is_still_the_truth(link, worker, wait_for, owner):
    body = request(link)
    wait_for(lambda: state(link)["state"] == "sent")
    owner.execute("update command set expires_at = now() - interval '5 seconds'")
    wait_for(lambda: state(link)["state"] == "expired")
    assert state(link)["reason"] == "no_answer"
    answer(link, Kind.OUTPUT_CONFIRMED, body["command_id"])
    assert state(link)["state"] == "confirmed"


def test_commands_arrive_in_the_order_of_their_numbers(link, worker, wait_for):
    ids = [request(link, act=act)["command_id"] for act in ("on", "off", "on", "pulse")]
    heard = []
    wait_for(lambda: heard.extend(worker.commands(50)) or len(heard) == 4)
    assert [command["command_id"] for command in heard] == ids
    assert sorted(command["fence"] for command in heard) == [command["fence"] for command in heard]


@pytest.mark.parametrize(("act", "on_s"), [("explode", 0), ("on", 121), ("on", -1), ("off", 5), ("pulse", 11)])
def test_an_output_does_only_what_it_is_allowed_to(link, act, on_s):
    with pytest.raises(monitor.BadCommand):
        request(link, act=act, on_s=on_s)


@pytest.mark.parametrize("scope", town.NONE_OF_NORTH, ids=["district", "street", "school", "nothing"])
def test_nobody_switches_what_is_not_theirs(link, scope):
    with pytest.raises(monitor.NotThere):
        request(link, principal=person(**scope))
    with pytest.raises(monitor.NotThere):
        request(link, device_id=999)
    with pytest.raises(monitor.NotThere):
        request(link, channel=5)
    assert request(link, principal=person(**town.NORTHERN))["state"] == "requested"
    with db.scoped(link, person(**scope).scope) as conn:
        assert monitor.recent_commands(conn) == []
    with db.scoped(link, person(**town.NORTHERN).scope) as conn:
        assert len(monitor.recent_commands(conn)) == 1


def test_a_command_for_an_alarm_one_may_not_see_is_refused(link):
    with db.scoped(link, db.CITY) as conn:
        handlers.store(conn, [press("mod-s")])
        alarm_id = response.open_alarms(conn)[0]["alarm_id"]
    with pytest.raises(monitor.NotThere):
        request(link, principal=person(**town.NORTHERN), alarm_id=alarm_id)


def test_a_workers_configuration_follows_the_tables_within_a_second(worker, wait_for, owner):
    first = wait_for(worker.current)
    assert [module["device"] for module in first.body["modules"]] == ["mod-n", "mod-s"]
    module = first.body["modules"][0]
    assert {key: module[key] for key in ("profile", "transport", "host", "port", "unit", "poll_ms", "demo")} == {
        "profile": "waveshare-io8", "transport": "tcp", "host": "127.0.0.1", "port": 502, "unit": 1, "poll_ms": 500, "demo": False,
    }  # fmt: skip
    assert module["inputs"][0] == {"channel": 0, "zone": "panic", "polarity": "no", "debounce_ms": 0, "self_locking": True}
    assert module["outputs"] == [{"channel": 0, "zone": "siren", "max_on_s": 120}]
    owner.execute("update point set debounce_ms = 50 where point_id = 10")
    changed = wait_for(lambda: (now := worker.current()).version > first.version and now, 1.5)
    assert changed.body["modules"][0]["inputs"][0]["debounce_ms"] == 50
    owner.execute("update device set is_enabled = false")
    wait_for(lambda: worker.current().body == {"modules": []}, 1.5)


def test_states_are_no_change_of_configuration(link, worker, wait_for):
    version = wait_for(worker.current).version
    with db.scoped(link, db.CITY) as conn:
        handlers.store(conn, [happened(Kind.DEVICE_LOST, "mod-n", None)])
        assert monitor.refresh_desired(conn) == []
    assert worker.current().version == version


def test_a_redis_that_forgot_gets_the_configurations_again(worker, redis, wait_for):
    version = wait_for(worker.current).version
    redis.flushall()
    wait_for(lambda: redis.hget("campus:desired:devices-1", "version") == str(version).encode(), 8)


def test_a_gate_is_configured_only_while_its_assessment_fits(link, owner):
    town.camera(owner, 1, 0, 0, worker="vision-1", stream_url="http://127.0.0.1/1", is_gate_check=True)
    owner.execute(
        "insert into impact_assessment (number, purpose, model_sha256, threshold, approved_by, approved_on)"
        " values ('A-1', 'public_safety', 'ab12', 0.55, 'Office', current_date - 300)"
    )
    owner.execute(
        "insert into gate_check (camera_id, is_enabled, assessment_id, threshold, other_way_in)"
        " select 1, true, assessment_id, 0.55, 'desk' from impact_assessment"
    )

    def gate():
        with db.scoped(link, db.CITY) as conn:
            monitor.refresh_desired(conn)
            [camera] = monitor.desired_body(conn, "vision-1")["cameras"]
        return camera["mode"], camera["gate"]

    mode, found = gate()
    assert mode == "gate"
    assert datetime.fromisoformat(found.pop("valid_until")) > datetime.now(UTC)
    assert found == {"threshold": 0.55, "assessment": "A-1", "model_sha256": "ab12", "zone": [0, 0, 1, 1]}
    owner.execute("update gate_check set threshold = 0.5")
    assert gate() == ("health", None), "a threshold nobody assessed"
    owner.execute("update gate_check set threshold = 0.55")
    owner.execute("update impact_assessment set approved_on = current_date - 366")
    assert gate() == ("health", None), "an assessment that is a year old"
    owner.execute("update impact_assessment set approved_on = current_date")
    owner.execute("update gate_check set is_enabled = false")
    assert gate() == ("health", None)


def test_a_worker_that_stops_beating_is_noticed(link, redis, timed, wait_for, monkeypatch):
    monkeypatch.setattr(monitor, "SILENT_S", 0.5)
    with db.scoped(link, db.CITY) as conn:
        handlers.store(conn, [happened(Kind.DEVICE_BACK, "mod-n", None)])
    redis.set("campus:worker:devices-1", '{"pid": 7}', px=2500)
    wait_for(lambda: link.execute("select beat from worker").fetchone() == {"beat": {"pid": 7}})
    wait_for(lambda: link.execute("select state from device where code = 'mod-n'").fetchone()["state"] == "unknown", 25)


def test_trails_and_messages_have_an_end(link, owner, city):
    for days in (1, 29, 31, 100):
        owner.execute("insert into fix (at, geom) values (now() - make_interval(days => %s), %s)", (days, town.at()))
    owner.execute(
        "insert into outbox (kind, requires, body, created_at)"
        " select 'x', 'y', '{}', now() - make_interval(hours => h) from generate_series(60, 0, -10) h"
    )
    jobs = {job.name: job for job in deadlines.Deadlines(city.settings).slow_jobs()}
    for name in ("trails", "trails", "outbox"):
        with db.scoped(link, db.CITY) as conn:
            jobs[name].run(conn)
    assert link.execute("select count(*) as n from fix").fetchone()["n"] == 2
    parts = [
        row["name"] for row in link.execute("select inhrelid::regclass::text as name from pg_inherits where inhparent = 'fix'::regclass")
    ]
    assert len(parts) == 3
    assert link.execute("select count(*) as n from only fix_default where at >= date_trunc('month', now())").fetchone()["n"] == 0
    assert link.execute("select min(seq) as low, max(seq) as high from outbox").fetchone() == {"low": 3, "high": 7}


def test_old_months_are_dropped_with_their_table(owner, link):
    owner.execute("create table fix_202001 partition of fix for values from ('2020-01-01T00:00:00Z') to ('2020-02-01T00:00:00Z')")
    assert link.execute("select keep_fix_months(30) as dropped").fetchone()["dropped"] == 1


def test_a_job_that_fails_does_not_stop_the_others_nor_come_back_broken(city, wait_for):
    ran = []

    def fail(conn):
        ran.append("bad")
        conn.execute("select 1/0")
        return False

    running = schedule.Schedule(
        city.dsn,
        [schedule.Job(name="bad", every_s=0.05, run=fail), schedule.Job(name="good", every_s=0.05, run=lambda conn: ran.append("good"))],
    )
    running.start()
    wait_for(lambda: ran.count("good") > 3 and ran.count("bad") > 3)
    with city.owner() as owner:
        owner.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and usename = 'app'")
    seen = len(ran)
    wait_for(lambda: ran[seen:].count("good") > 3)
    running.stop()
    assert not running.is_alive


def test_what_was_notified_runs_at_once(city, link, wait_for):
    ran = []
    running = schedule.Schedule(
        city.dsn, [schedule.Job(name="slow", every_s=3600, run=lambda conn: ran.append(1), on=frozenset({"campus_command"}))]
    )
    running.start()
    wait_for(lambda: len(ran) == 1)
    link.execute("notify campus_command")
    wait_for(lambda: len(ran) >= 2, 1.0)
    running.stop()


def test_yesterday_and_today_are_counted(link, city):
    with db.scoped(link, db.CITY) as conn:
        deadlines.Deadlines(city.settings).roll_uptime(conn)
    days = sorted({row["day"] for row in link.execute("select day from uptime_day")})
    assert len(days) == 2
    assert days[1] - days[0] == timedelta(days=1)
