-- name: change_device
-- A device's new state, unless a newer one is known: within one source its number decides, between sources the time.
-- Being out opens an outage, being up ends it; an outage nobody told us of in time is made of the gap a device reports.
-- scope: none because ingest acts for the whole city
with before as (
  select d.device_id, d.state, d.state_reason, d.seen_at, exists (select from outage o where o.device_id = d.device_id and o.until is null) as is_out
  from device d
  where d.code = %(subject)s
    and case when d.state_source = %(source)s then d.state_seq < %(seq)s else coalesce(d.state_at <= %(event_at)s, true) end
  for update
), changed as (
  update device d set state = %(state)s, state_reason = %(reason)s, state_source = %(source)s, state_seq = %(seq)s, state_held = null,
         state_at = case when b.state = %(state)s then d.state_at else %(event_at)s end,
         seen_at = case when %(state)s = 'lost' then d.seen_at else greatest(d.seen_at, %(event_at)s) end
  from before b where b.device_id = d.device_id
  returning d.*, b.state <> %(state)s or b.state_reason <> %(reason)s as is_news, b.is_out
), ended as (
  update outage o set until = greatest(o.since, %(event_at)s) from changed c
  where o.device_id = c.device_id and o.until is null and c.state = 'up'
), begun as (
  insert into outage (device_id, school_id, state, reason, since, demo)
  select c.device_id, c.school_id, c.state, c.state_reason, %(event_at)s, c.demo from changed c where c.state in ('lost', 'fault')
  on conflict (device_id) where until is null and device_id is not null do nothing
), missed as (
  insert into outage (device_id, school_id, state, reason, since, until, demo)
  select c.device_id, c.school_id, 'lost', 'gap', %(event_at)s - make_interval(secs => %(gap_s)s), %(event_at)s, c.demo
  from changed c where c.state = 'up' and not c.is_out and %(gap_s)s >= 1
)
select c.device_id, c.code, c.kind, c.school_id, s.district_code, s.street_code, c.state, c.state_reason as reason, c.state_at, c.seen_at, c.demo, c.is_news
from changed c left join school s on s.school_id = c.school_id;

-- name: change_camera
-- A camera's new state from its own stream, unless a newer one is known; being anything but ok is an outage.
-- scope: none because ingest acts for the whole city
with before as (
  select c.camera_id, c.state, c.state_reason from camera c
  where c.code = %(subject)s
    and case when c.state_source = %(source)s then c.state_seq < %(seq)s else coalesce(c.state_at <= %(event_at)s or c.evidence <> 'stream', true) end
  for update
), changed as (
  update camera c set state = %(state)s, state_reason = %(reason)s, state_source = %(source)s, state_seq = %(seq)s, state_held = null, evidence = 'stream',
         state_at = case when b.state = %(state)s then c.state_at else %(event_at)s end,
         seen_at = case when %(state)s in ('lost', 'unknown') then c.seen_at else greatest(c.seen_at, %(event_at)s) end
  from before b where b.camera_id = c.camera_id
  returning c.*, b.state <> %(state)s or b.state_reason <> %(reason)s as is_news
), ended as (
  update outage o set until = greatest(o.since, %(event_at)s) from changed c where o.camera_id = c.camera_id and o.until is null and c.state = 'ok'
), begun as (
  insert into outage (camera_id, school_id, state, reason, since, demo)
  select c.camera_id, c.school_id, c.state, c.state_reason, %(event_at)s, c.demo from changed c where c.state <> 'ok'
  on conflict (camera_id) where until is null and camera_id is not null do nothing
)
select c.camera_id, c.code, c.school_id, c.district_code, c.street_code, c.state, c.state_reason as reason, c.state_at, c.seen_at, c.evidence, c.demo, c.is_news
from changed c;

-- name: report_cameras
-- What a recorder says of its cameras. It does not overrule a worker that watches them, nor a newer word; a repeated one only renews the evidence.
-- scope: visible_school
with given as (
  select distinct on (g.camera) g.* from jsonb_to_recordset(%(reports)s::jsonb) as g(camera text, state text, reason text, at timestamptz)
  order by g.camera, g.at desc
), before as (
  select c.camera_id, c.state, g.state as new_state, g.reason as new_reason, g.at
  from given g join camera c on c.code = g.camera join visible_school v on v.school_id = c.school_id
  where (c.worker = '' or exists (select from worker w where w.worker = c.worker and w.state = 'silent'))
    and coalesce(c.seen_at <= g.at, true) and coalesce(c.state_at <= g.at, true)
    and (c.state <> g.state or c.state_reason <> g.reason or c.evidence <> 'recorder' or coalesce(c.seen_at < g.at - make_interval(secs => %(renew_s)s), true))
  order by c.camera_id
  for update of c
), changed as (
  update camera c set state = b.new_state, state_reason = b.new_reason, state_source = 'recorder', state_seq = 0, state_held = null, evidence = 'recorder',
         state_at = case when b.state = b.new_state then c.state_at else b.at end, seen_at = b.at
  from before b where b.camera_id = c.camera_id
  returning c.*, b.state <> b.new_state as is_news, b.at
), ended as (
  update outage o set until = greatest(o.since, c.at) from changed c where o.camera_id = c.camera_id and o.until is null and c.state = 'ok'
), begun as (
  insert into outage (camera_id, school_id, state, reason, since, demo)
  select c.camera_id, c.school_id, c.state, c.state_reason, c.at, c.demo from changed c where c.state <> 'ok'
  on conflict (camera_id) where until is null and camera_id is not null do nothing
)
select c.camera_id, c.code, c.school_id, c.district_code, c.street_code, c.state, c.state_reason as reason, c.state_at, c.seen_at, c.evidence, c.demo, c.is_news
from changed c order by c.school_id, c.camera_id;

-- name: unknown_cameras
-- Which of the codes a recorder named are not there for it.
-- scope: visible_school
select g.code from unnest(%(codes)s::text[]) as g(code)
where not exists (select from camera c join visible_school v on v.school_id = c.school_id where c.code = g.code)
order by g.code;

-- name: age_cameras
-- A camera nobody has vouched for in time is unknown, never healthy; so many at a time, so that no press waits for them.
-- scope: none because it is the timed job of the whole city
with chosen as (
  select camera_id from camera
  where evidence = 'recorder' and state <> 'unknown' and seen_at < clock_timestamp() - make_interval(secs => %(evidence_s)s)
  order by camera_id limit %(limit)s for update
), changed as (
  update camera c set state = 'unknown', state_reason = 'no_evidence', state_at = clock_timestamp()
  from chosen where c.camera_id = chosen.camera_id
  returning c.*
), begun as (
  insert into outage (camera_id, school_id, state, reason, since, demo)
  select c.camera_id, c.school_id, 'unknown', 'no_evidence', c.state_at, c.demo from changed c
  on conflict (camera_id) where until is null and camera_id is not null do nothing
)
select c.camera_id, c.code, c.school_id, c.district_code, c.street_code, c.state, c.state_reason as reason, c.state_at, c.seen_at, c.evidence, c.demo
from changed c order by c.school_id, c.camera_id;

-- name: beat_worker
-- A worker's heartbeat.
-- scope: none because workers belong to no place
insert into worker as w (worker, beat) values (%(worker)s, %(beat)s)
on conflict (worker) do update set seen_at = clock_timestamp(), beat = excluded.beat, state = 'up',
  state_at = case when w.state = 'up' then w.state_at else clock_timestamp() end;

-- name: silent_workers
-- Workers that have stopped speaking, and those that have something to do and never spoke.
-- scope: none because workers belong to no place
insert into worker as w (worker, state, seen_at)
select d.worker, 'silent', d.made_at from desired d
where d.made_at < clock_timestamp() - make_interval(secs => %(silent_s)s) and not (d.worker = any (%(heard)s::text[]))
on conflict (worker) do update set state = 'silent', state_at = clock_timestamp()
where w.state = 'up' and w.seen_at < clock_timestamp() - make_interval(secs => %(silent_s)s)
returning w.worker;

-- name: hush_devices
-- What only a silent worker could vouch for is unknown; what it was is kept for when the worker speaks again.
-- scope: none because it is the timed job of the whole city
with chosen as (
  select d.device_id from device d join worker w on w.worker = d.worker and w.state = 'silent'
  where d.is_enabled and d.profile <> '' and d.state <> 'unknown'
  order by d.device_id limit %(limit)s for update of d
), changed as (
  update device d set state_held = d.state, state = 'unknown', state_reason = 'worker_silent', state_at = clock_timestamp()
  from chosen where d.device_id = chosen.device_id
  returning d.*
), begun as (
  insert into outage (device_id, school_id, state, reason, since, demo)
  select c.device_id, c.school_id, 'unknown', 'worker_silent', c.state_at, c.demo from changed c
  on conflict (device_id) where until is null and device_id is not null do nothing
)
select c.device_id, c.code, c.kind, c.school_id, s.district_code, s.street_code, c.state, c.state_reason as reason, c.state_at, c.seen_at, c.demo
from changed c left join school s on s.school_id = c.school_id order by c.device_id;

-- name: unhush_devices
-- The worker speaks again without having said anything else of these: they are what they were.
-- scope: none because it is the timed job of the whole city
with chosen as (
  select d.device_id from device d join worker w on w.worker = d.worker and w.state = 'up'
  where d.state_held is not null
  order by d.device_id limit %(limit)s for update of d
), changed as (
  update device d set state = d.state_held, state_reason = '', state_held = null, state_at = clock_timestamp()
  from chosen where d.device_id = chosen.device_id
  returning d.*
), ended as (
  update outage o set until = c.state_at from changed c
  where o.device_id = c.device_id and o.until is null and o.reason = 'worker_silent' and c.state = 'up'
)
select c.device_id, c.code, c.kind, c.school_id, s.district_code, s.street_code, c.state, c.state_reason as reason, c.state_at, c.seen_at, c.demo
from changed c left join school s on s.school_id = c.school_id order by c.device_id;

-- name: hush_cameras
-- The same for the cameras of a silent worker.
-- scope: none because it is the timed job of the whole city
with chosen as (
  select c.camera_id from camera c join worker w on w.worker = c.worker and w.state = 'silent'
  where c.worker <> '' and c.evidence = 'stream' and c.state <> 'unknown'
  order by c.school_id limit %(limit)s for update of c
), changed as (
  update camera c set state_held = c.state, state = 'unknown', state_reason = 'worker_silent', state_at = clock_timestamp()
  from chosen where c.camera_id = chosen.camera_id
  returning c.*
), begun as (
  insert into outage (camera_id, school_id, state, reason, since, demo)
  select c.camera_id, c.school_id, 'unknown', 'worker_silent', c.state_at, c.demo from changed c
  on conflict (camera_id) where until is null and camera_id is not null do nothing
)
select c.camera_id, c.code, c.school_id, c.district_code, c.street_code, c.state, c.state_reason as reason, c.state_at, c.seen_at, c.evidence, c.demo
from changed c order by c.school_id, c.camera_id;

-- name: unhush_cameras
-- The same for cameras whose worker speaks again.
-- scope: none because it is the timed job of the whole city
with chosen as (
  select c.camera_id from camera c join worker w on w.worker = c.worker and w.state = 'up'
  where c.worker <> '' and c.state_held is not null
  order by c.school_id limit %(limit)s for update of c
), changed as (
  update camera c set state = c.state_held, state_reason = '', state_held = null, state_at = clock_timestamp()
  from chosen where c.camera_id = chosen.camera_id
  returning c.*
), ended as (
  update outage o set until = c.state_at from changed c
  where o.camera_id = c.camera_id and o.until is null and o.reason = 'worker_silent' and c.state = 'ok'
)
select c.camera_id, c.code, c.school_id, c.district_code, c.street_code, c.state, c.state_reason as reason, c.state_at, c.seen_at, c.evidence, c.demo
from changed c order by c.school_id, c.camera_id;

-- name: workers
-- Every worker and when it was last heard.
-- scope: none because workers belong to no place; the door asks for status.view
select worker, state, state_at, seen_at, beat from worker order by worker;

-- name: find_output
-- An output a person wants to switch.
-- scope: visible_school
select p.point_id, p.max_on_s, p.zone, d.device_id, d.demo, exists (
         select from alarm a join visible_alarm using (alarm_id) where a.alarm_id = %(alarm_id)s::bigint) as is_alarm_visible
from device d join visible_school v on v.school_id = d.school_id join point p on p.device_id = d.device_id
where d.device_id = %(device_id)s and d.is_enabled and p.direction = 'out' and p.channel = %(channel)s;

-- name: insert_command
-- A command to send; ingest signs it.
-- scope: visible_school, checked by find_output in the same transaction
insert into command (device_id, point_id, act, on_s, requested_by, expires_at, alarm_id, demo)
values (%(device_id)s, %(point_id)s, %(act)s, %(on_s)s, %(account_id)s, clock_timestamp() + make_interval(secs => %(expires_s)s), %(alarm_id)s, %(demo)s)
returning command_id;

-- name: note_command
-- What was done about an alarm belongs into its history; no row where the command was given for none.
-- scope: none because the command has been checked
insert into alarm_step (alarm_id, act, account_id, data)
select c.alarm_id, %(act)s, c.requested_by, jsonb_build_object('command_id', c.command_id, 'act', c.act, 'reason', c.reason)
from command c where c.command_id = %(command_id)s and c.alarm_id is not null;

-- name: command_bodies
-- Commands as browsers get them.
-- scope: none because the caller has just written them; the outbox stamps them for their readers
select c.command_id, c.device_id, d.code as device_code, c.point_id, p.channel, p.zone, p.name_zh, p.name_en, c.act, c.on_s, c.state, c.reason,
       c.answer_ms, c.requested_at, r.name_zh as requested_by_zh, r.name_en as requested_by_en, c.expires_at, c.state_at, c.alarm_id,
       d.school_id, s.district_code, s.street_code, c.demo
from command c join device d using (device_id) join point p using (point_id) left join school s on s.school_id = d.school_id
left join account r on r.account_id = c.requested_by
where c.command_id = any (%(command_ids)s) order by c.fence;

-- name: recent_commands
-- Commands of the last minutes and all that wait for an answer, the newest first.
-- scope: visible_school
select c.command_id, c.device_id, d.code as device_code, c.point_id, p.channel, p.zone, p.name_zh, p.name_en, c.act, c.on_s, c.state, c.reason,
       c.answer_ms, c.requested_at, r.name_zh as requested_by_zh, r.name_en as requested_by_en, c.expires_at, c.state_at, c.alarm_id,
       d.school_id, s.district_code, s.street_code, c.demo
from command c join device d using (device_id) join point p using (point_id) join visible_school v on v.school_id = d.school_id
join school s on s.school_id = d.school_id left join account r on r.account_id = c.requested_by
where c.requested_at > now() - make_interval(mins => %(minutes)s::integer) or c.state in ('requested', 'sent')
order by c.fence desc limit %(limit)s;

-- name: commands_to_send
-- Commands nobody has sent, in the order of their numbers.
-- scope: none because ingest acts for the whole city
select c.command_id, d.worker, d.code as device, p.channel, c.act, c.on_s, p.max_on_s, c.expires_at, c.fence
from command c join device d using (device_id) join point p using (point_id)
where c.state = 'requested' and c.expires_at > clock_timestamp()
order by c.fence for update of c;

-- name: mark_sent
-- These are on their way.
-- scope: none because ingest acts for the whole city
update command set state = 'sent', state_at = clock_timestamp() where command_id = any (%(command_ids)s) and state = 'requested';

-- name: settle_command
-- What a worker read back. The first answer counts; one that comes after the time was up is still the truth.
-- scope: none because ingest acts for the whole city
update command set state = %(state)s, reason = %(reason)s, answer_ms = %(answer_ms)s, state_at = clock_timestamp()
where command_id = %(command_id)s::uuid and state in ('requested', 'sent', 'expired')
returning command_id;

-- name: expire_commands
-- Commands whose time is up without an answer.
-- scope: none because it is the timed job of the whole city
update command set state = 'expired', reason = case state when 'sent' then 'no_answer' else 'not_sent' end, state_at = clock_timestamp()
where state in ('requested', 'sent') and expires_at < clock_timestamp() - make_interval(secs => %(grace_s)s)
returning command_id;

-- name: device_bodies
-- The configuration of every devices worker, complete; a worker that has lost its last device gets an empty one.
-- scope: none because ingest configures the workers of the whole city
select w.worker, jsonb_build_object('modules', coalesce(m.modules, '[]'::jsonb)) as body
from (select distinct worker from device where is_enabled and profile <> '' union select worker from desired where body ? 'modules') w
left join (
  select d.worker, jsonb_agg(jsonb_build_object('device', d.code, 'profile', d.profile, 'transport', d.transport, 'host', d.host, 'port', d.port,
           'unit', d.unit, 'poll_ms', d.poll_ms, 'demo', d.demo, 'inputs', coalesce(p.inputs, '[]'::jsonb), 'outputs', coalesce(p.outputs, '[]'::jsonb))
           order by d.code) as modules
  from device d
  left join (
    select device_id,
           jsonb_agg(jsonb_build_object('channel', channel, 'zone', zone, 'polarity', polarity, 'debounce_ms', debounce_ms,
             'self_locking', is_self_locking) order by channel) filter (where direction = 'in') as inputs,
           jsonb_agg(jsonb_build_object('channel', channel, 'zone', zone, 'max_on_s', max_on_s) order by channel) filter (where direction = 'out') as outputs
    from point group by device_id
  ) p using (device_id)
  where d.is_enabled and d.profile <> ''
  group by d.worker
) m using (worker)
order by w.worker;

-- name: camera_bodies
-- The configuration of every vision worker, complete; a gate is in it only while its assessment fits model and threshold.
-- scope: none because ingest configures the workers of the whole city
select w.worker, jsonb_build_object('cameras', coalesce(m.cameras, '[]'::jsonb)) as body
from (select distinct worker from camera where worker <> '' union select worker from desired where body ? 'cameras') w
left join (
  select c.worker, jsonb_agg(jsonb_build_object('camera', c.code, 'url', c.stream_url,
           'fps', case when g.camera_id is null then %(fps)s::float8 else %(gate_fps)s::float8 end, 'demo', c.demo,
           'mode', case when g.camera_id is null then 'health' else 'gate' end,
           'gate', case when g.camera_id is not null then jsonb_build_object('threshold', g.threshold::numeric, 'assessment', g.assessment,
             'model_sha256', g.model_sha256, 'zone', g.zone::numeric[], 'valid_until', g.valid_until at time zone 'UTC') end) order by c.code) as cameras
  from camera c
  left join valid_gate g on g.camera_id = c.camera_id
  where c.worker <> '' and c.stream_url <> ''
  group by c.worker
) m using (worker)
order by w.worker;

-- name: keep_desired
-- Store a configuration if it differs; versions only rise, over a restored database too.
-- scope: none because ingest configures the workers of the whole city
insert into desired as d (worker, version, body) values (%(worker)s, (extract(epoch from clock_timestamp()) * 1000)::bigint, %(body)s)
on conflict (worker) do update set version = greatest(d.version + 1, excluded.version), body = excluded.body, made_at = clock_timestamp()
where d.body <> excluded.body
returning worker, version, body;

-- name: desired_versions
-- Which configuration every worker shall have, and whether it is one of cameras.
-- scope: none because ingest configures the workers of the whole city
select worker, version, body ? 'cameras' as has_cameras from desired order by worker;

-- name: desired_body
-- What one worker shall do.
-- scope: none because ingest configures the workers of the whole city
select body from desired where worker = %(worker)s;

-- name: roll_uptime
-- One number a school and day: the share of device (camera) time that was up. What was never seen was never up.
-- scope: none because it is the timed job of the whole city
with day as (
  select %(day)s::date as day, %(day)s::timestamp at time zone %(tz)s as since,
         least((%(day)s::date + 1)::timestamp at time zone %(tz)s, clock_timestamp()) as until
), out as materialized (
  select o.device_id, o.camera_id, sum(extract(epoch from least(coalesce(o.until, day.until), day.until) - greatest(o.since, day.since))) as out_s
  from outage o cross join day
  where o.since < day.until and (o.until is null or o.until > day.since)
  group by o.device_id, o.camera_id
), thing as (
  select 'device' as kind, d.school_id, d.demo, d.seen_at is null as is_unseen, coalesce(out.out_s, 0) as out_s
  from device d left join out on out.device_id = d.device_id
  where d.is_enabled and d.school_id is not null and d.profile <> ''
  union all
  select 'camera', c.school_id, c.demo, c.seen_at is null, coalesce(out.out_s, 0)
  from camera c left join out on out.camera_id = c.camera_id
)
insert into uptime_day as u (day, school_id, kind, total, up_share, demo)
select day.day, t.school_id, t.kind, count(*),
       greatest(0, least(1, 1 - avg(case when t.is_unseen then 1 else t.out_s / extract(epoch from day.until - day.since) end)))::real, bool_or(t.demo)
from thing t cross join day
where day.until > day.since
group by day.day, t.school_id, t.kind
on conflict (school_id, day, kind) do update set total = excluded.total, up_share = excluded.up_share, demo = excluded.demo;

-- name: device_states
-- Every device with its state and the last evidence of it; a worker that speaks vouches for what it calls up.
-- scope: visible_school
select d.device_id, d.code, d.kind, d.school_id, s.name_zh as school_zh, s.name_en as school_en, d.state, d.state_reason as reason, d.state_at,
       case when d.state = 'up' and w.state = 'up' then greatest(d.seen_at, w.seen_at) else d.seen_at end as seen_at, d.worker, d.supplier, d.demo
from device d join visible_school v on v.school_id = d.school_id join school s on s.school_id = d.school_id left join worker w on w.worker = d.worker
where %(school_id)s::integer is null or d.school_id = %(school_id)s::integer
order by d.state = 'up', d.code;
