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

-- name: school_figures
-- What the status bar counts, school by school. A school is online while at least one of its devices answers.
-- scope: none because it is read once for all readers and summed for each by the schools of their scope
select s.school_id, s.district_code, s.street_code, coalesce(d.total, 0) as devices_total, coalesce(d.up, 0) as devices_up,
       coalesce(c.total, 0) as cameras_total, coalesce(c.ok, 0) as cameras_ok, coalesce(c.unknown, 0) as cameras_unknown
from school s
left join (
  select school_id, count(*) as total, count(*) filter (where state = 'up') as up from device where is_enabled and kind <> 'phone' group by school_id
) d using (school_id)
left join (
  select school_id, count(*) as total, count(*) filter (where state = 'ok') as ok, count(*) filter (where state = 'unknown') as unknown
  from camera group by school_id
) c using (school_id);

-- name: open_alarm_stamps
-- Where the alarms that are not closed belong.
-- scope: none because it is read once for all readers and counted for each by what their scope covers
select school_id, district_code, street_code from alarm where state in ('open', 'acknowledged');

-- name: city_figures
-- Counts that belong to no place.
-- scope: none because nobody knows where these belong; told to those with the permission
select (select count(*) from event e where not e.is_assigned and e.stored_at > now() - interval '1 day') as unassigned,
       (select count(*) from dead_letter where replayed_at is null) as dead_letters;

-- name: audit_page
-- Acts, the newest first, before a number.
-- scope: none because the audit is of acts, not of places; the door asks for audit.view
select u.seq, u.at, u.act, u.object, u.reason, u.data::text as data, a.login, a.name_zh, a.name_en
from audit u left join account a using (account_id)
where u.seq < coalesce(%(before)s::bigint, 9223372036854775807)
order by u.seq desc limit %(limit)s;
