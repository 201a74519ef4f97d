-- name: outbox_after
-- What browsers are told after a number, in order; the body is already the text that goes out.
-- scope: none because the stream filters each row by its stamp, for every reader
select seq, kind, requires, district_code, street_code, school_id, body::text as body,
       (extract(epoch from clock_timestamp() - created_at) * 1000)::float8 as age_ms
from outbox where seq > %(after)s order by seq limit %(limit)s;

-- name: outbox_bounds
-- The first and the last number that can still be asked for; 0 and 0 when there is none.
-- scope: none because two numbers say nothing about any place
select coalesce((select min(seq) from outbox), 0) as first_seq, coalesce((select max(seq) from outbox), 0) as last_seq;

-- name: figures
-- The numbers of the status bar for one scope. A school is online while at least one of its devices answers.
-- scope: visible_school; alarms through visible_alarm
with devices as (
       select count(*) as total, count(*) filter (where d.state = 'up') as up, count(distinct d.school_id) filter (where d.state = 'up') as schools
       from device d join visible_school v on v.school_id = d.school_id where d.is_enabled and d.kind <> 'phone'
     ),
     cameras as (
       select count(*) as total, count(*) filter (where c.state = 'ok') as ok, count(*) filter (where c.state = 'unknown') as unknown
       from camera c join visible_school v on v.school_id = c.school_id
     )
select (select count(*) from visible_school) as schools_total, d.schools as schools_online, d.total as devices_total, d.up as devices_up,
       c.ok as cameras_ok, c.total as cameras_total, c.unknown as cameras_unknown,
       (select count(*) from alarm a join visible_alarm using (alarm_id) where a.state <> 'closed') as open_alarms,
       (select count(*) from event e where not e.is_assigned and e.stored_at > now() - interval '1 day') as unassigned,
       (select count(*) from dead_letter where replayed_at is null) as dead_letters
from devices d cross join cameras c;

-- name: audit_page
-- Acts, the newest first, before a number.
-- scope: none because the audit is of acts, not of places; the door asks for audit.view
select u.seq, u.at, u.act, u.object, u.reason, u.data::text as data, a.login, a.name_zh, a.name_en
from audit u left join account a using (account_id)
where u.seq < coalesce(%(before)s::bigint, 9223372036854775807)
order by u.seq desc limit %(limit)s;
