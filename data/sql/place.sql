-- name: names_version
-- Changes whenever a school's name or code does.
-- scope: none because it is a number
select version from layer_version where layer = 'schools';

-- name: all_names
-- Code and names of every school, for the search index.
-- scope: none because whatever the index finds is read again through visible_school
select school_id, code, name_zh, name_en from school order by code;

-- name: schools_by_id
-- Search results in the order of the given ids, those of the scope only.
-- scope: visible_school
select s.school_id, s.code, s.name_zh, s.name_en, s.kind, s.district_code, d.name_zh as district_zh, d.name_en as district_en,
       ST_X(s.geom) as lon, ST_Y(s.geom) as lat, s.demo
from unnest(%(school_ids)s::integer[]) with ordinality as wanted(school_id, rank)
join school s using (school_id) join visible_school using (school_id) join district d on d.district_code = s.district_code
order by wanted.rank limit %(limit)s;

-- name: first_schools
-- The first schools of the scope by code.
-- scope: visible_school
select s.school_id, s.code, s.name_zh, s.name_en, s.kind, s.district_code, d.name_zh as district_zh, d.name_en as district_en,
       ST_X(s.geom) as lon, ST_Y(s.geom) as lat, s.demo
from school s join visible_school using (school_id) join district d on d.district_code = s.district_code
order by s.code limit %(limit)s;

-- name: card
-- One school with its counts.
-- scope: visible_school
select s.school_id, s.code, s.name_zh, s.name_en, s.kind, s.ownership, s.district_code, d.name_zh as district_zh, d.name_en as district_en,
       s.street_code, t.name_zh as street_zh, t.name_en as street_en, s.address, s.pupils, s.boarders, s.has_canteen, s.has_bus, s.contact_name,
       s.contact_phone, s.retention_days, ST_X(s.geom) as lon, ST_Y(s.geom) as lat, s.demo,
       (select count(*) from cell c where c.school_id = s.school_id) as cells,
       (select count(*) from camera c where c.school_id = s.school_id) as cameras,
       (select count(*) from camera c where c.school_id = s.school_id and c.state = 'ok') as cameras_ok,
       (select count(*) from camera c where c.school_id = s.school_id and c.state = 'unknown') as cameras_unknown,
       (select count(*) from device x where x.school_id = s.school_id and x.is_enabled) as devices,
       (select count(*) from device x where x.school_id = s.school_id and x.is_enabled and x.state = 'up') as devices_up,
       (select count(*) from alarm a where a.school_id = s.school_id and a.state <> 'closed') as open_alarms
from school s join visible_school using (school_id) join district d on d.district_code = s.district_code
left join street t on t.street_code = s.street_code
where s.school_id = %(school_id)s;

-- name: card_people
-- Whom to call: the unit of the beat, then those who own most of the school's cells.
-- scope: visible_school
select a.account_id, a.name_zh, a.name_en, a.phone, a.role, 'beat' as duty, 0 as cells
from beat_school x join visible_school using (school_id) join beat b using (beat_id) join account a on a.account_id = b.account_id
where x.school_id = %(school_id)s and a.is_active
union all
(select a.account_id, a.name_zh, a.name_en, a.phone, a.role, 'cells' as duty, count(*)::integer as cells
 from cell c join visible_school using (school_id) join cell_owner o on o.cell_id = c.cell_id and o.duty = 'owner' and o.until is null
 join account a on a.account_id = o.account_id
 where c.school_id = %(school_id)s and a.is_active
 group by a.account_id order by count(*) desc, a.account_id limit 5);

-- name: card_gates
-- The gates of a school, the main one first.
-- scope: visible_school
select g.gate_id, g.name_zh, g.name_en, g.is_main, ST_X(g.geom) as lon, ST_Y(g.geom) as lat
from gate g join visible_school using (school_id) where g.school_id = %(school_id)s order by g.is_main desc, g.gate_id;

-- name: card_posts
-- The guard posts of a school with their hours.
-- scope: visible_school
select p.post_id, p.gate_id, p.name_zh, p.name_en, p.radius_m, to_char(p.starts_at_local, 'HH24:MI') as starts_at_local,
       to_char(p.ends_at_local, 'HH24:MI') as ends_at_local, ST_X(p.geom) as lon, ST_Y(p.geom) as lat
from post p join visible_school using (school_id) where p.school_id = %(school_id)s order by p.post_id;

-- name: card_devices
-- The devices of a school, those that are not up first.
-- scope: visible_school
select x.device_id, x.code, x.kind, x.state, x.state_reason as reason, x.state_at, x.seen_at, x.demo
from device x join visible_school using (school_id) where x.school_id = %(school_id)s and x.is_enabled order by x.state = 'up', x.code;

-- name: card_cameras
-- The cameras of a school, those that are not ok first.
-- scope: visible_school
select c.camera_id, c.code, c.name_zh, c.name_en, c.state, c.state_reason as reason, c.state_at, c.seen_at, c.evidence,
       c.worker <> '' as has_picture, ST_X(c.geom) as lon, ST_Y(c.geom) as lat, c.demo
from camera c join visible_school using (school_id) where c.school_id = %(school_id)s order by c.state = 'ok', c.code;
