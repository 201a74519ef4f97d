-- depends: 0011_warning_keys
-- A candidate as browsers get it: never a picture, only whether there is one to ask for.
create view candidate_body as
select c.candidate_id, c.state, c.school_id, s.code as school_code, s.name_zh as school_zh, s.name_en as school_en,
       c.district_code, c.street_code, c.camera_id, k.code as camera_code, k.name_zh as camera_zh, k.name_en as camera_en,
       ST_X(k.geom) as lon, ST_Y(k.geom) as lat, c.entry_id, e.ground, e.instruction, c.score, c.threshold, c.model_sha256,
       c.expected_false_per_day, c.found_at, c.expires_at, c.answered_at, a.name_zh as answered_by_zh, a.name_en as answered_by_en,
       c.sealed_picture is not null as has_picture, c.picture_deleted_at, c.alarm_id, c.demo, c.event_id
from candidate c
join school s using (school_id)
join camera k using (camera_id)
join register_entry e using (entry_id)
left join account a on a.account_id = c.answered_by;
grant select on candidate_body to app;
