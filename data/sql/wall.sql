-- name: alarm_histogram
-- Alarms raised in each step of a period by priority, steps without any included, oldest first.
-- scope: stamped, through visible_alarm
with step as (
  select at from generate_series(%(since)s::timestamptz, %(until)s::timestamptz - interval '1 second', make_interval(secs => %(step_s)s)) as at
), raised as (
  select date_bin(make_interval(secs => %(step_s)s), a.raised_at, %(since)s::timestamptz) as at, a.priority, count(*) as alarms
  from alarm a join visible_alarm using (alarm_id)
  where a.raised_at >= %(since)s and a.raised_at < %(until)s
  group by 1, 2
)
select step.at,
       coalesce(sum(r.alarms) filter (where r.priority = 'critical'), 0)::integer as critical,
       coalesce(sum(r.alarms) filter (where r.priority = 'high'), 0)::integer as high,
       coalesce(sum(r.alarms) filter (where r.priority = 'attention'), 0)::integer as attention
from step left join raised r on r.at = step.at
group by step.at order by step.at;

-- name: alarm_answers
-- How fast alarms of a period were acknowledged, from the press to the first acknowledgement; median_ack_ms is null where none was.
-- scope: stamped, through visible_alarm
with answered as (
  select extract(epoch from coalesce(first.at, a.acknowledged_at) - a.event_at) * 1000 as ms
  from alarm a join visible_alarm using (alarm_id)
  left join lateral (select min(t.at) as at from alarm_step t where t.alarm_id = a.alarm_id and t.act = 'acknowledged') first on true
  where a.raised_at >= %(since)s and a.raised_at < %(until)s and coalesce(first.at, a.acknowledged_at) is not null
)
select count(*)::integer as acknowledged, round((percentile_cont(0.5) within group (order by ms))::numeric)::bigint as median_ack_ms from answered;

-- name: last_signs
-- When anything was last alarmed, when a button was last proved from end to end, and cameras without any evidence.
-- scope: visible_school; alarms through visible_alarm
select (select max(a.raised_at) from alarm a join visible_alarm using (alarm_id)) as last_alarm_at,
       (select max(p.proved_at) from point p join device d using (device_id) join visible_school v on v.school_id = d.school_id) as last_proof_at,
       (select count(*) from camera c join visible_school v on v.school_id = c.school_id where c.state = 'unknown')::integer as cameras_unknown;

-- name: visible_extent
-- West, south, east, north of all visible schools in degrees (EPSG:4326); nulls where there is none.
-- scope: visible_school
select ST_XMin(box) as west, ST_YMin(box) as south, ST_XMax(box) as east, ST_YMax(box) as north
from (select ST_Extent(s.geom) as box from school s join visible_school using (school_id)) extent;

-- name: school_card
-- What the card of one school says at a glance: people to call, devices, cameras, cells, alarms, the last proof of its buttons.
-- scope: visible_school
select s.school_id, s.code, s.name_zh, s.name_en, s.kind, s.ownership, s.address, s.pupils, s.boarders, s.contact_name, s.contact_phone, s.demo,
       d.name_zh as district_zh, d.name_en as district_en, t.name_zh as street_zh, t.name_en as street_en,
       ST_X(s.geom) as lon, ST_Y(s.geom) as lat,
       (select count(*) from device x where x.school_id = s.school_id and x.is_enabled) as devices,
       (select count(*) from device x where x.school_id = s.school_id and x.is_enabled and x.state = 'up') as devices_up,
       (select max(x.seen_at) from device x where x.school_id = s.school_id and x.is_enabled) as device_seen_at,
       (select count(*) from camera c where c.school_id = s.school_id) as cameras,
       (select count(*) from camera c where c.school_id = s.school_id and c.state = 'ok') as cameras_ok,
       (select count(*) from camera c where c.school_id = s.school_id and c.state = 'unknown') as cameras_unknown,
       (select count(*) from cell c where c.school_id = s.school_id) as cells,
       (select count(*) from alarm a where a.school_id = s.school_id and a.state <> 'closed') as open_alarms,
       (select max(a.raised_at) from alarm a where a.school_id = s.school_id) as last_alarm_at,
       (select max(p.proved_at) from point p join device x using (device_id) where x.school_id = s.school_id) as last_proof_at,
       clock_timestamp() as read_at
from school s join visible_school using (school_id)
join district d on d.district_code = s.district_code
left join street t on t.street_code = s.street_code
where s.school_id = %(school_id)s;

-- name: school_weeks
-- Alarms and new hazards of one school in each of the last weeks, from the stored days, oldest first; a week without a stored day is missing.
-- scope: visible_school
select date_trunc('week', y.day)::date as week, sum(y.alarms)::integer as alarms, sum(y.hazards_opened)::integer as hazards
from school_day y join visible_school using (school_id)
where y.school_id = %(school_id)s and y.day >= %(since)s::date
group by 1 order by 1;
