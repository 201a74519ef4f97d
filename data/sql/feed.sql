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
-- scope: visible_school; the alarms without a school and the devices without one are everybody's
with seen as materialized (select school_id from visible_school),
     devices as (
       select d.school_id, d.state from device d
       where d.is_enabled and d.kind <> 'phone' and (d.school_id in (select school_id from seen) or d.school_id is null)
     ),
     cameras as (select c.state from camera c where c.school_id in (select school_id from seen))
select (select count(*) from seen) as schools_total,
       (select count(distinct school_id) from devices where state = 'up' and school_id is not null) as schools_online,
       (select count(*) from devices) as devices_total,
       (select count(*) from devices where state = 'up') as devices_up,
       (select count(*) from cameras where state = 'ok') as cameras_ok,
       (select count(*) from cameras) as cameras_total,
       (select count(*) from alarm a where a.state = 'open' and (a.school_id is null or a.school_id in (select school_id from seen))) as open_alarms,
       (select count(*) from event e where not e.is_assigned and e.stored_at > now() - interval '1 day') as unassigned,
       (select count(*) from dead_letter where replayed_at is null) as dead_letters;

-- name: audit_page
-- Acts, the newest first, before a number.
-- scope: none because the audit is of acts, not of places; the door asks for audit.view
select u.seq, u.at, u.act, u.object, u.reason, u.data::text as data, a.login, a.name_zh, a.name_en
from audit u left join account a using (account_id)
where u.seq < coalesce(%(before)s::bigint, 9223372036854775807)
order by u.seq desc limit %(limit)s;
