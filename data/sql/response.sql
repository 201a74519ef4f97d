-- name: find_input
-- Where an input belongs and which alarm it has open: at its point, or for an unregistered one at its device code and channel.
-- scope: none because ingest opens alarms for the whole city
select d.device_id, p.point_id, p.zone, coalesce(p.name_zh, '') as place_zh, coalesce(p.name_en, '') as place_en,
       s.school_id, s.district_code, s.street_code, open.alarm_id as open_alarm_id, open.state as open_state
from (values (%(subject)s::text, %(channel)s::integer)) as given(subject, channel)
left join device d on d.code = given.subject
left join point p on p.device_id = d.device_id and p.channel = given.channel and p.direction = 'in'
left join school s on s.school_id = d.school_id
left join lateral (
  select a.alarm_id, a.state from alarm a
  where a.state <> 'closed' and a.point_id = p.point_id
  union all
  select a.alarm_id, a.state from alarm a
  where p.point_id is null and a.state <> 'closed' and a.point_id is null and a.kind in ('panic', 'intrusion', 'tamper')
    and a.subject = given.subject and a.channel is not distinct from given.channel
  limit 1
) open on true;

-- name: raise_at_point
-- Open an alarm at a registered input, or join the one that is open there; a press always makes it sound again.
-- scope: none because ingest opens alarms for the whole city
insert into alarm (kind, priority, school_id, district_code, street_code, device_id, point_id, subject, channel, event_id, event_at, spooled_at,
                   last_at, presses, is_while_down, mode, demo, place_zh, place_en, geom)
select %(kind)s, %(priority)s, s.school_id, s.district_code, s.street_code, d.device_id, p.point_id, d.code, p.channel, %(event_id)s, %(event_at)s,
       %(spooled_at)s, %(event_at)s, %(count)s, %(is_while_down)s, %(mode)s, %(demo)s, p.name_zh, p.name_en, coalesce(p.geom, s.geom)
from point p join device d using (device_id) left join school s using (school_id)
where p.point_id = %(point_id)s
on conflict (point_id) where state <> 'closed' and point_id is not null do update set
  presses = alarm.presses + excluded.presses, last_at = greatest(alarm.last_at, excluded.last_at), state = 'open',
  acknowledged_at = null, acknowledged_by = null, restored_at = null, demo = alarm.demo and excluded.demo,
  mode = case when 'live' in (alarm.mode, excluded.mode) then 'live' else excluded.mode end
returning alarm_id, presses, xmax = 0 as is_new;

-- name: raise_unassigned
-- The same for an input nobody has registered: it is shown without a point, at the school of its device where that is known.
-- scope: none because ingest opens alarms for the whole city
insert into alarm (kind, priority, school_id, district_code, street_code, device_id, subject, channel, event_id, event_at, spooled_at,
                   last_at, presses, is_while_down, mode, demo, geom)
select %(kind)s, %(priority)s, s.school_id, s.district_code, s.street_code, %(device_id)s::integer, %(subject)s, %(channel)s, %(event_id)s,
       %(event_at)s, %(spooled_at)s, %(event_at)s, %(count)s, %(is_while_down)s, %(mode)s, %(demo)s, s.geom
from (values (1)) as one left join school s on s.school_id = %(school_id)s::integer
on conflict (subject, channel) where point_id is null and kind in ('panic', 'intrusion', 'tamper') and state <> 'closed' do update set
  presses = alarm.presses + excluded.presses, last_at = greatest(alarm.last_at, excluded.last_at), state = 'open',
  acknowledged_at = null, acknowledged_by = null, restored_at = null, demo = alarm.demo and excluded.demo,
  mode = case when 'live' in (alarm.mode, excluded.mode) then 'live' else excluded.mode end
returning alarm_id, presses, xmax = 0 as is_new;

-- name: insert_sos_event
-- A phone's call for help as an event; the same call sent twice is one.
-- scope: none because everybody may call for help, wherever they are
insert into event (event_id, kind, source, seq, subject, event_at, demo, data)
values (%(event_id)s, 'alarm.raised', 'phone', 0, '', clock_timestamp(), %(demo)s, %(data)s)
on conflict (event_id) do nothing
returning event_id, event_at;

-- name: raise_sos
-- Open a person's call, or join the one still open; placed at the campus within reach of the position, else at the person's only school.
-- scope: none because everybody may call for help, wherever they are
with here as (
  select ST_SetSRID(ST_MakePoint(%(lon)s::float8, %(lat)s::float8), 4326) as at
), there as (
  select s.school_id, s.district_code, s.street_code, s.name_zh, s.name_en, s.geom
  from here
  left join lateral (
    select c.school_id from campus c where ST_DWithin(c.geom, here.at, 0.001) order by c.geom <-> here.at limit 1
  ) c on true
  join school s on s.school_id = coalesce(c.school_id, %(school_id)s::integer)
)
insert into alarm (kind, priority, school_id, district_code, street_code, account_id, subject, event_id, event_at, last_at, demo, place_zh, place_en, geom)
select 'sos', 'critical', there.school_id,
       coalesce(there.district_code, (select d.district_code from district d where ST_Covers(d.geom, here.at) limit 1)),
       coalesce(there.street_code, (select t.street_code from street t where ST_Covers(t.geom, here.at) limit 1)),
       %(account_id)s, %(login)s, %(event_id)s, %(event_at)s, %(event_at)s, %(demo)s, %(name_zh)s, %(name_en)s, coalesce(here.at, there.geom)
from here left join there on true
on conflict (account_id) where kind = 'sos' and state <> 'closed' do update set
  presses = alarm.presses + 1, last_at = greatest(alarm.last_at, excluded.last_at), state = 'open', acknowledged_at = null, acknowledged_by = null,
  geom = coalesce(excluded.geom, alarm.geom), school_id = coalesce(excluded.school_id, alarm.school_id),
  district_code = coalesce(excluded.district_code, alarm.district_code), street_code = coalesce(excluded.street_code, alarm.street_code)
returning alarm_id, presses, xmax = 0 as is_new;

-- name: alarm_of_event
-- The alarm an event opened or joined.
-- scope: none because the caller sent the event
select alarm_id from alarm_step where event_id = %(event_id)s and act in ('raised', 'pressed');

-- name: add_step
-- Append to an alarm's history; sequence, time and hash are the trigger's.
-- scope: none because the caller has already found the alarm
insert into alarm_step (alarm_id, act, account_id, event_id, data)
values (%(alarm_id)s, %(act)s, %(account_id)s, %(event_id)s, %(data)s);

-- name: restore_alarm
-- Mark that the input went back, unless it was pressed after that.
-- scope: none because ingest acts for the whole city
update alarm set restored_at = %(event_at)s
where alarm_id = %(alarm_id)s and state <> 'closed' and last_at <= %(event_at)s and restored_at is null
returning alarm_id;

-- name: lock_alarm
-- One alarm a person acts on; a second person waits here and then finds what the first has done.
-- scope: stamped, through visible_alarm
select a.alarm_id, a.state, a.point_id, a.acknowledged_at, p.name_zh as acknowledged_by_zh, p.name_en as acknowledged_by_en
from alarm a join visible_alarm using (alarm_id) left join account p on p.account_id = a.acknowledged_by
where a.alarm_id = %(alarm_id)s
for update of a;

-- name: acknowledge_alarm
-- Somebody has it now.
-- scope: stamped, checked by lock_alarm in the same transaction
update alarm set state = 'acknowledged', acknowledged_at = clock_timestamp(), acknowledged_by = %(account_id)s where alarm_id = %(alarm_id)s;

-- name: prove_point
-- A press that a person has seen proves the whole way from the button to the wall.
-- scope: stamped, checked by lock_alarm in the same transaction
update point set proved_at = clock_timestamp() where point_id = %(point_id)s;

-- name: close_alarm
-- It is over, for this reason.
-- scope: stamped, checked by lock_alarm in the same transaction
update alarm set state = 'closed', closed_at = clock_timestamp(), closed_by = %(account_id)s, cause = %(cause)s, note = %(note)s
where alarm_id = %(alarm_id)s;

-- name: alarm_body
-- One alarm as browsers get it.
-- scope: none because the caller has just written it; the outbox stamps it for its readers
select * from alarm_body where alarm_id = %(alarm_id)s;

-- name: alarm_seen
-- One alarm as browsers get it, for a person who asks.
-- scope: stamped, through visible_alarm
select b.* from alarm_body b join visible_alarm using (alarm_id) where alarm_id = %(alarm_id)s;

-- name: open_alarms
-- All that are open, whatever their age: critical first, what sounds before what somebody has, the latest press first.
-- scope: stamped, through visible_alarm
select b.* from alarm_body b join visible_alarm using (alarm_id)
where b.state <> 'closed'
order by case b.priority when 'critical' then 0 when 'high' then 1 else 2 end, b.state = 'acknowledged', b.last_at desc, alarm_id desc;

-- name: past_alarms
-- Alarms raised in a period, the newest first, with one row more than asked for, which says that there are more.
-- scope: stamped, through visible_alarm
select b.* from alarm_body b join visible_alarm using (alarm_id)
where b.raised_at >= %(since)s and b.raised_at < %(until)s and (%(school_id)s::integer is null or b.school_id = %(school_id)s::integer)
order by b.raised_at desc, alarm_id desc
limit %(limit)s::integer + 1;

-- name: alarm_place
-- What the detail panel says about school, point and device of one alarm.
-- scope: stamped, through visible_alarm
select s.school_id, s.code as school_code, s.name_zh as school_zh, s.name_en as school_en, s.kind as school_kind, s.ownership, s.address, s.pupils,
       s.boarders, s.contact_name, s.contact_phone, ST_X(s.geom) as school_lon, ST_Y(s.geom) as school_lat,
       p.point_id, p.channel, p.zone, p.name_zh as point_zh, p.name_en as point_en, p.proved_at, b.name_zh as gate_zh, b.name_en as gate_en,
       d.device_id, d.code as device_code, d.state as device_state, d.state_reason as device_reason,
       r.name_zh as raised_by_zh, r.name_en as raised_by_en, r.phone as raised_by_phone, a.note, a.subject, a.channel as input_channel
from alarm a
join visible_alarm using (alarm_id)
left join school s on s.school_id = a.school_id
left join point p on p.point_id = a.point_id
left join gate b on b.gate_id = p.gate_id
left join device d on d.device_id = a.device_id
left join account r on r.account_id = a.account_id
where a.alarm_id = %(alarm_id)s;

-- name: alarm_steps
-- The whole history of one alarm, oldest first.
-- scope: stamped, through visible_alarm
select t.seq, t.at, t.act, c.name_zh as by_zh, c.name_en as by_en, t.event_id, t.data
from alarm_step t join visible_alarm using (alarm_id) left join account c on c.account_id = t.account_id
where t.alarm_id = %(alarm_id)s
order by t.seq;

-- name: alarm_outputs
-- What can be switched at the school of an alarm, with the state of the device it hangs on.
-- scope: stamped, through visible_alarm
select d.device_id, d.code as device_code, d.state as device_state, p.channel, p.zone, p.max_on_s, p.name_zh, p.name_en
from alarm a join visible_alarm using (alarm_id) join device d on d.school_id = a.school_id
join point p on p.device_id = d.device_id and p.direction = 'out'
where a.alarm_id = %(alarm_id)s and d.is_enabled
order by d.device_id <> a.device_id, p.zone <> 'siren', d.code, p.channel;

-- name: linked_cameras
-- Cameras for the spot of an alarm: those that see it first, the healthy of them before the dead, then by distance on the ground.
-- A camera sees a point inside its line-of-sight polygon, or inside its sector where none was computed yet.
-- scope: visible_school, and the alarm through visible_alarm
with spot as (
  select a.geom as at, ST_Transform(a.geom, 4547) as at_m
  from alarm a join visible_alarm using (alarm_id)
  where a.alarm_id = %(alarm_id)s and a.geom is not null
), near as (
  select c.*, spot.at, spot.at_m, ST_Transform(c.geom, 4547) as own_m, v.school_id as seen_school
  from spot
  join camera c on c.geom && ST_Expand(spot.at, 500 / (111320 * cos(radians(ST_Y(spot.at)))), 500 / 110574.0)  -- range_m is at most 500
  join visible_school v on v.school_id = c.school_id
), judged as (
  select near.*, ST_Distance(own_m, at_m) as distance_m,
         case when view_geom is not null then ST_Covers(view_geom, at)
              else ST_Distance(own_m, at_m) <= range_m
                   and (fov_deg >= 360 or ST_Distance(own_m, at_m) < 0.5
                        or abs(mod((degrees(ST_Azimuth(own_m, at_m)) - azimuth_deg + 540)::numeric, 360) - 180) <= fov_deg / 2) end as sees
  from near
)
select j.camera_id, j.code, j.name_zh, j.name_en, j.school_id, j.state, j.state_reason, j.state_at, j.evidence, j.sees, j.state = 'ok' as is_healthy,
       round(j.distance_m::numeric, 1)::float8 as distance_m, j.azimuth_deg, j.fov_deg, j.range_m, ST_X(j.geom) as lon, ST_Y(j.geom) as lat,
       j.stream_url <> '' and j.worker <> '' as has_picture, j.demo, seen.seen_at,
       extract(epoch from clock_timestamp() - seen.seen_at)::float8 as age_s
from judged j
left join worker w on w.worker = j.worker
cross join lateral (select case when j.state = 'ok' and j.evidence = 'stream' and w.state = 'up' then greatest(j.seen_at, w.seen_at) else j.seen_at end as seen_at) seen
order by j.sees desc, j.state = 'ok' desc, j.distance_m, j.camera_id
limit %(limit)s;

-- name: nearest_units
-- Units on duty near an alarm, by straight-line distance on the ground, with the age of their position.
-- scope: stamped, and the alarm through visible_alarm
with spot as (
  select a.geom as at from alarm a join visible_alarm using (alarm_id) where a.alarm_id = %(alarm_id)s and a.geom is not null
)
select u.unit_id, u.code, u.name_zh, u.name_en, u.kind, u.status, u.phone, ST_X(u.geom) as lon, ST_Y(u.geom) as lat, u.accuracy_m, u.position_at,
       extract(epoch from clock_timestamp() - u.position_at)::float8 as age_s,
       coalesce(u.position_at < clock_timestamp() - make_interval(secs => %(stale_s)s), true) as is_stale,
       round(ST_Distance(ST_Transform(u.geom, 4547), ST_Transform(spot.at, 4547))::numeric)::float8 as distance_m, true as is_straight_line, u.demo
from spot cross join lateral (
  select n.* from unit n
  where n.geom is not null and n.status <> 'off'
    and ((select current_setting('campus.city')) = '1'
         or n.district_code = any ((select string_to_array(current_setting('campus.districts'), ','))::text[])
         or n.street_code = any ((select string_to_array(current_setting('campus.streets'), ','))::text[]))
  order by n.geom <-> spot.at limit 4 * %(limit)s::integer  -- degrees are not square: more than asked for, then sorted in metres
) u
order by ST_Distance(ST_Transform(u.geom, 4547), ST_Transform(spot.at, 4547)), u.unit_id
limit %(limit)s;

-- name: units
-- Every unit with its last position, wherever that was.
-- scope: stamped
select u.unit_id, u.code, u.name_zh, u.name_en, u.kind, u.status, u.district_code, u.street_code, ST_X(u.geom) as lon, ST_Y(u.geom) as lat, u.accuracy_m,
       u.position_at, coalesce(u.position_at < clock_timestamp() - make_interval(secs => %(stale_s)s), true) as is_stale, u.demo
from unit u
where (select current_setting('campus.city')) = '1'
   or u.district_code = any ((select string_to_array(current_setting('campus.districts'), ','))::text[])
   or u.street_code = any ((select string_to_array(current_setting('campus.streets'), ','))::text[])
order by u.code;

-- name: move_unit
-- The newest position of a unit; an older one that arrives late changes nothing.
-- scope: none because a unit reports its own position, found by its account or its device
update unit u set geom = ST_SetSRID(ST_MakePoint(%(lon)s, %(lat)s), 4326), accuracy_m = %(accuracy_m)s, position_at = %(at)s
where (u.account_id = %(account_id)s or u.code = %(code)s) and coalesce(u.position_at < %(at)s, true)
returning u.unit_id, u.code, u.district_code, u.street_code, u.status, %(lon)s::float8 as lon, %(lat)s::float8 as lat, u.accuracy_m, u.position_at, u.demo;

-- name: insert_fix
-- One position of a trail; the same one sent again is not stored again.
-- scope: none because people report their own position
insert into fix (client_id, account_id, unit_id, at, accuracy_m, demo, geom)
values (%(client_id)s, %(account_id)s,
        (select u.unit_id from unit u where u.account_id = %(account_id)s or u.code = %(code)s order by u.unit_id limit 1),
        %(at)s, %(accuracy_m)s, %(demo)s, ST_SetSRID(ST_MakePoint(%(lon)s, %(lat)s), 4326))
on conflict (client_id, at) do nothing;

-- name: command_of_output
-- Which alarm a command was given for.
-- scope: none because ingest acts for the whole city
select c.command_id, c.alarm_id from command c where c.command_id = %(command_id)s::uuid and c.alarm_id is not null;
