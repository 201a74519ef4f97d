-- name: demo_account
-- The first demo account of a role.
-- scope: none because the seed acts for the whole demo city
select account_id, login, name_zh, name_en from account where role = %(role)s and demo order by account_id limit 1;

-- name: demo_cameras
-- The demo cameras that shall check drawn faces; others are not given.
-- scope: none because the seed acts for the whole demo city
select camera_id, code, school_id, name_en from camera where code = any (%(codes)s::text[]) and demo and worker <> '' order by code;

-- name: point_camera_at_gate
-- The stream of a gate with passers-by.
-- scope: none because the seed acts for the whole demo city
update camera set stream_url = %(stream_url)s where camera_id = %(camera_id)s;
