-- name: layer_versions
-- The number under which each layer's drawing is kept.
-- scope: none because a number tells nothing about any place
select layer, version from layer_version;

-- name: basemap_tile
-- The ground of the map as vector tile layers district, landuse, boundary, road, building, label.
-- The box is transformed, never the column, so every part is found by its GiST index.
-- scope: none because outlines, roads, water, parks and the neighbours' walls are public geography
with tile as (
  select ST_TileEnvelope(%(z)s::integer, %(x)s::integer, %(y)s::integer) as edge,
         ST_Transform(ST_TileEnvelope(%(z)s::integer, %(x)s::integer, %(y)s::integer, margin => 0.03125), 4326) as box,
         39135.75 / 2 ^ %(z)s::integer as half_px_m
),
district_part as (
  select d.district_code, ST_AsMVTGeom(ST_Simplify(ST_Transform(ST_ClipByBox2D(d.geom, tile.box), 3857), tile.half_px_m), tile.edge, 4096, 128) as geom
  from district d, tile
  where d.geom && ST_Transform(ST_TileEnvelope(%(z)s::integer, %(x)s::integer, %(y)s::integer, margin => 0.03125), 4326)
),
landuse_part as (
  select case when l.kind = 'water' and not exists (select 1 from district d where d.geom && l.geom and ST_Intersects(d.geom, ST_PointOnSurface(l.geom)))
              then 'sea' else l.kind end as kind,
         ST_AsMVTGeom(ST_Simplify(ST_Transform(ST_ClipByBox2D(l.geom, tile.box), 3857), tile.half_px_m), tile.edge, 4096, 128) as geom
  from landuse l, tile
  where l.geom && ST_Transform(ST_TileEnvelope(%(z)s::integer, %(x)s::integer, %(y)s::integer, margin => 0.03125), 4326)
    and (%(z)s::integer >= 10 or ST_Area(Box2D(l.geom)) > 0.00002)
),
border as (
  select 'district' as what, ST_ClipByBox2D(ST_Boundary(d.geom), tile.box) as line
  from district d, tile
  where d.geom && ST_Transform(ST_TileEnvelope(%(z)s::integer, %(x)s::integer, %(y)s::integer, margin => 0.03125), 4326)
  union all
  select 'street', ST_ClipByBox2D(ST_Boundary(s.geom), tile.box)
  from street s, tile
  where %(z)s::integer >= 11
    and s.geom && ST_Transform(ST_TileEnvelope(%(z)s::integer, %(x)s::integer, %(y)s::integer, margin => 0.03125), 4326)
),
boundary_part as (  -- a border shared by two is one line, or its dashes would fill each other
  select what, ST_AsMVTGeom(ST_Simplify(ST_Transform(merged.line, 3857), tile.half_px_m), tile.edge, 4096, 128) as geom
  from (select what, ST_LineMerge(ST_UnaryUnion(ST_Collect(line))) as line from border group by what) merged, tile
),
road_part as (
  select class, zh, en, ST_AsMVTGeom(ST_Simplify(ST_Transform(merged.line, 3857), tile.half_px_m), tile.edge, 4096, 128) as geom
  from (
    select r.class, case when %(z)s::integer >= 12 then r.name_zh end as zh, case when %(z)s::integer >= 12 then r.name_en end as en,
           ST_LineMerge(ST_Collect(r.geom)) as line
    from road r
    where r.geom && ST_Transform(ST_TileEnvelope(%(z)s::integer, %(x)s::integer, %(y)s::integer, margin => 0.03125), 4326)
      and r.class = any (case when %(z)s::integer <= 8 then array['motorway', 'trunk']
                              when %(z)s::integer <= 9 then array['motorway', 'trunk', 'primary']
                              when %(z)s::integer <= 11 then array['motorway', 'trunk', 'primary', 'secondary']
                              else array['motorway', 'trunk', 'primary', 'secondary', 'residential'] end)
    group by 1, 2, 3
  ) merged, tile
),
building_part as (
  select b.height_m, ST_AsMVTGeom(ST_Transform(b.geom, 3857), tile.edge, 4096, 64) as geom
  from building b, tile
  where %(z)s::integer >= 14 and b.school_id is null
    and b.geom && ST_Transform(ST_TileEnvelope(%(z)s::integer, %(x)s::integer, %(y)s::integer, margin => 0.03125), 4326)
),
label_part as (
  select what, zh, en, ST_AsMVTGeom(ST_Transform(at, 3857), tile.edge, 4096, 0) as geom
  from (
    select 'district' as what, name_zh as zh, name_en as en, ST_PointOnSurface(geom) as at from district where %(z)s::integer <= 12
    union all
    select 'street', name_zh, name_en, ST_PointOnSurface(geom) from street
    where %(z)s::integer between 11 and 14
      and geom && ST_Transform(ST_TileEnvelope(%(z)s::integer, %(x)s::integer, %(y)s::integer), 4326)
    union all
    select kind, name_zh, name_en, ST_PointOnSurface(geom) from landuse
    where name_zh <> '' and kind in ('water', 'park') and ST_Area(Box2D(geom)) > 1600.0 / 4 ^ %(z)s::integer
      and geom && ST_Transform(ST_TileEnvelope(%(z)s::integer, %(x)s::integer, %(y)s::integer), 4326)
  ) named, tile
  where ST_Transform(at, 3857) && tile.edge
)
select coalesce((select ST_AsMVT(p, 'district', 4096, 'geom') from district_part p where geom is not null), '')
    || coalesce((select ST_AsMVT(p, 'landuse', 4096, 'geom') from landuse_part p where geom is not null), '')
    || coalesce((select ST_AsMVT(p, 'boundary', 4096, 'geom') from boundary_part p where geom is not null), '')
    || coalesce((select ST_AsMVT(p, 'road', 4096, 'geom') from road_part p where geom is not null), '')
    || coalesce((select ST_AsMVT(p, 'building', 4096, 'geom') from building_part p where geom is not null), '')
    || coalesce((select ST_AsMVT(p, 'label', 4096, 'geom') from label_part p where geom is not null), '') as body;

-- name: schools_geojson
-- Every visible school as one GeoJSON text; six decimals are 0.1 m.
-- scope: stamped
select json_build_object('type', 'FeatureCollection', 'features', coalesce(json_agg(json_build_object(
    'type', 'Feature', 'id', school_id,
    'geometry', json_build_object('type', 'Point', 'coordinates', json_build_array(round(ST_X(geom)::numeric, 6), round(ST_Y(geom)::numeric, 6))),
    'properties', json_build_object('code', code, 'zh', name_zh, 'en', name_en, 'kind', kind, 'district', district_code)
  ) order by school_id), '[]'))::text as body
from school
where (select current_setting('campus.city') = '1')
   or district_code = any ((select string_to_array(current_setting('campus.districts'), ','))::text[])
   or street_code = any ((select string_to_array(current_setting('campus.streets'), ','))::text[])
   or school_id in (select unnest(string_to_array(current_setting('campus.schools'), ','))::integer);

-- name: school_states
-- What the devices of each visible school say together: 0 nothing yet, 1 all that speak are up, 2 one is lost or faulty.
-- scope: visible_school
select count(*)::integer as count, string_agg(int4send(school_id) || int2send(state), '' order by school_id) as records
from (
  select v.school_id, (case when bool_or(d.state in ('lost', 'fault')) then 2 when bool_or(d.state = 'up') then 1 else 0 end)::smallint as state
  from visible_school v join device d using (school_id)
  where d.is_enabled
  group by v.school_id
) school_state
where state <> 0;

-- name: school_feature
-- One school in words.
-- scope: visible_school
select s.name_zh, s.name_en, s.kind, s.code, s.pupils, d.name_zh as district_zh, d.name_en as district_en,
       count(dev.device_id)::integer as devices, count(dev.device_id) filter (where dev.state = 'up')::integer as devices_up,
       min(dev.seen_at) filter (where dev.state = 'up') as seen_at, max(dev.state_at) filter (where dev.state in ('lost', 'fault')) as state_at,
       case when bool_or(dev.state in ('lost', 'fault')) then 'attention' when bool_or(dev.state = 'up') then 'ok' else 'unknown' end as state
from visible_school v
join school s using (school_id)
join district d on d.district_code = s.district_code
left join device dev on dev.school_id = s.school_id and dev.is_enabled
where s.school_id = %(feature_id)s::integer
group by s.school_id, d.district_code;

-- name: campuses_tile
-- Campuses, the schools' own buildings and gates as vector tile layers; a campus in the tile brings what stands on it.
-- scope: stamped
with tile as (
  select ST_TileEnvelope(%(z)s::integer, %(x)s::integer, %(y)s::integer) as edge,
         ST_Transform(ST_TileEnvelope(%(z)s::integer, %(x)s::integer, %(y)s::integer, margin => 0.03125), 4326) as box
),
seen as materialized (
  select c.school_id, c.geom
  from campus c
  where c.geom && ST_Transform(ST_TileEnvelope(%(z)s::integer, %(x)s::integer, %(y)s::integer, margin => 0.03125), 4326)
    and ((select current_setting('campus.city') = '1')
      or c.district_code = any ((select string_to_array(current_setting('campus.districts'), ','))::text[])
      or c.street_code = any ((select string_to_array(current_setting('campus.streets'), ','))::text[])
      or c.school_id in (select unnest(string_to_array(current_setting('campus.schools'), ','))::integer))
),
campus_part as (
  select seen.school_id, ST_AsMVTGeom(ST_Transform(seen.geom, 3857), tile.edge, 4096, 64) as geom from seen, tile
),
building_part as (
  select b.building_id, b.kind, b.name_zh as zh, b.name_en as en, ST_AsMVTGeom(ST_Transform(b.geom, 3857), tile.edge, 4096, 64) as geom
  from tile, building b
  where %(z)s::integer >= 14 and b.school_id in (select school_id from seen) and b.geom && tile.box
),
gate_part as (
  select g.gate_id, g.is_main, g.name_zh as zh, g.name_en as en, ST_AsMVTGeom(ST_Transform(g.geom, 3857), tile.edge, 4096, 64) as geom
  from tile, gate g
  where %(z)s::integer >= 14 and g.school_id in (select school_id from seen)
)
select coalesce((select ST_AsMVT(p, 'campus', 4096, 'geom', 'school_id') from campus_part p where geom is not null), '')
    || coalesce((select ST_AsMVT(p, 'building', 4096, 'geom', 'building_id') from building_part p where geom is not null), '')
    || coalesce((select ST_AsMVT(p, 'gate', 4096, 'geom', 'gate_id') from gate_part p where geom is not null), '') as body;

-- name: routes_tile
-- Patrol routes and their checkpoints as vector tile layers route and checkpoint.
-- scope: stamped
with tile as (
  select ST_TileEnvelope(%(z)s::integer, %(x)s::integer, %(y)s::integer) as edge
),
seen as (
  select r.route_id, r.school_id, r.geom
  from route r
  where r.geom && ST_Transform(ST_TileEnvelope(%(z)s::integer, %(x)s::integer, %(y)s::integer, margin => 0.03125), 4326)
    and ((select current_setting('campus.city') = '1')
      or r.district_code = any ((select string_to_array(current_setting('campus.districts'), ','))::text[])
      or r.street_code = any ((select string_to_array(current_setting('campus.streets'), ','))::text[])
      or r.school_id in (select unnest(string_to_array(current_setting('campus.schools'), ','))::integer))
),
route_part as (
  select seen.route_id, seen.school_id, ST_AsMVTGeom(ST_Transform(seen.geom, 3857), tile.edge, 4096, 64) as geom from seen, tile
),
checkpoint_part as (
  select k.checkpoint_id, k.route_id, k.ordinal, k.name_zh as zh, k.name_en as en, ST_AsMVTGeom(ST_Transform(k.geom, 3857), tile.edge, 4096, 64) as geom
  from tile, seen join checkpoint k using (route_id)
)
select coalesce((select ST_AsMVT(p, 'route', 4096, 'geom', 'route_id') from route_part p where geom is not null), '')
    || coalesce((select ST_AsMVT(p, 'checkpoint', 4096, 'geom', 'checkpoint_id') from checkpoint_part p where geom is not null), '') as body;

-- name: route_feature
-- One patrol route in words.
-- scope: visible_school
select r.name_zh, r.name_en, r.per_day, r.length_m, r.school_id, s.name_zh as school_zh, s.name_en as school_en,
       (select max(p.ended_at) from patrol p where p.route_id = r.route_id) as state_at
from route r join visible_school v using (school_id) join school s using (school_id)
where r.route_id = %(feature_id)s::integer;

-- name: cells_packed
-- Grid cells whose box has its middle in the tile: each belongs to exactly one tile. Outer shape as TWKB, six decimals (0.1 m).
-- scope: stamped
select count(*)::integer as count, string_agg(int4send(cell_id) || int2send(length(shape)::smallint) || shape, '' order by cell_id) as records
from (
  select c.cell_id, ST_AsTWKB(c.geom, 6) as shape,
         floor(((ST_XMin(c.geom) + ST_XMax(c.geom)) / 2 + 180) / 360 * 2 ^ %(z)s::integer) as tile_x,
         floor((1 - asinh(tan(radians((ST_YMin(c.geom) + ST_YMax(c.geom)) / 2))) / pi()) / 2 * 2 ^ %(z)s::integer) as tile_y
  from cell c
  where c.geom && ST_Transform(ST_TileEnvelope(%(z)s::integer, %(x)s::integer, %(y)s::integer), 4326)
    and ((select current_setting('campus.city') = '1')
      or c.district_code = any ((select string_to_array(current_setting('campus.districts'), ','))::text[])
      or c.street_code = any ((select string_to_array(current_setting('campus.streets'), ','))::text[])
      or c.school_id in (select unnest(string_to_array(current_setting('campus.schools'), ','))::integer)
      or c.cell_id in (select unnest(string_to_array(current_setting('campus.cells'), ','))::integer))
) cell_at
where tile_x = %(x)s::integer and tile_y = %(y)s::integer;

-- name: cell_states
-- Worst open hazard of each cell (1 low to 4 critical), plus 16 where nobody owns the cell; cells with neither are left out.
-- scope: visible_school
select count(*)::integer as count, string_agg(int4send(cell_id) || int2send(state), '' order by cell_id) as records
from (
  select c.cell_id, (coalesce(worst.severity, 0) + case when o.cell_id is null then 16 else 0 end)::smallint as state
  from cell c
  left join (
    select cell_id, max(array_position(array['low', 'medium', 'high', 'critical'], severity)) as severity
    from hazard where state not in ('closed', 'rejected', 'verified') and cell_id is not null group by cell_id
  ) worst using (cell_id)
  left join cell_owner o on o.cell_id = c.cell_id and o.duty = 'owner' and o.until is null
  where c.school_id in (select school_id from visible_school)
     or c.cell_id in (select unnest(string_to_array(current_setting('campus.cells'), ','))::integer)
) cell_state
where state <> 0;

-- name: school_hazards
-- Worst open hazard of each visible school (1 low to 4 critical); schools without one are left out.
-- scope: visible_school
select count(*)::integer as count, string_agg(int4send(school_id) || int2send(severity), '' order by school_id) as records
from (
  select h.school_id, max(array_position(array['low', 'medium', 'high', 'critical'], h.severity))::smallint as severity
  from hazard h join visible_school v using (school_id)
  where h.state not in ('closed', 'rejected', 'verified')
  group by h.school_id
) school_hazard;

-- name: cell_feature
-- One cell in words.
-- scope: visible_school
select c.code, c.area_m2, c.school_id, s.name_zh as school_zh, s.name_en as school_en, a.name_zh as owner_zh, a.name_en as owner_en,
       (select count(*)::integer from hazard h where h.cell_id = c.cell_id and h.state not in ('closed', 'rejected', 'verified')) as open_hazards,
       (select max(h.reported_at) from hazard h where h.cell_id = c.cell_id and h.state not in ('closed', 'rejected', 'verified')) as state_at
from cell c
join school s using (school_id)
left join cell_owner o on o.cell_id = c.cell_id and o.duty = 'owner' and o.until is null
left join account a on a.account_id = o.account_id
where c.cell_id = %(feature_id)s::integer
  and (c.school_id in (select school_id from visible_school)
    or c.cell_id in (select unnest(string_to_array(current_setting('campus.cells'), ','))::integer));

-- name: cameras_packed
-- Cameras of a tile: id, place, azimuth and field of view in 1/64 degree, range in 0.1 m.
-- scope: stamped
select count(*)::integer as count,
       string_agg(int4send(camera_id) || int2send((px - 32768)::smallint) || int2send((py - 32768)::smallint) || int2send((azimuth_deg * 64)::smallint)
                  || int2send((fov_deg * 64)::smallint) || int2send((range_m * 10)::smallint), '' order by camera_id) as records
from (
  select c.camera_id, c.azimuth_deg, c.fov_deg, c.range_m,
         floor(((ST_X(c.geom) + 180) / 360 * 2 ^ %(z)s::integer - %(x)s::integer) * 65536)::integer as px,
         floor(((1 - asinh(tan(radians(ST_Y(c.geom)))) / pi()) / 2 * 2 ^ %(z)s::integer - %(y)s::integer) * 65536)::integer as py
  from camera c
  where c.geom && ST_Transform(ST_TileEnvelope(%(z)s::integer, %(x)s::integer, %(y)s::integer), 4326)
    and ((select current_setting('campus.city') = '1')
      or c.district_code = any ((select string_to_array(current_setting('campus.districts'), ','))::text[])
      or c.street_code = any ((select string_to_array(current_setting('campus.streets'), ','))::text[])
      or c.school_id in (select unnest(string_to_array(current_setting('campus.schools'), ','))::integer))
) camera_at
where px between 0 and 65535 and py between 0 and 65535;

-- name: camera_states
-- State of each visible camera that has one: the place in the list of layers.cameras.STATES; unknown ones are left out.
-- scope: stamped
select count(*)::integer as count, string_agg(int4send(camera_id) || int2send(code), '' order by camera_id) as records
from (
  select camera_id, (array_position(array['ok', 'lost', 'frozen', 'dark', 'bright', 'blurred', 'covered', 'moved'], state))::smallint as code
  from camera
  where state <> 'unknown'
    and ((select current_setting('campus.city') = '1')
      or district_code = any ((select string_to_array(current_setting('campus.districts'), ','))::text[])
      or street_code = any ((select string_to_array(current_setting('campus.streets'), ','))::text[])
      or school_id in (select unnest(string_to_array(current_setting('campus.schools'), ','))::integer))
) camera_state;

-- name: camera_feature
-- One camera in words, with what it really sees (GeoJSON, EPSG:4326; null until computed).
-- scope: visible_school
select c.code, c.name_zh, c.name_en, c.state, c.state_reason, c.state_at, c.seen_at, c.evidence, c.azimuth_deg, c.fov_deg, c.range_m, c.mount, c.legal_zone,
       c.school_id, s.name_zh as school_zh, s.name_en as school_en, ST_X(c.geom) as lon, ST_Y(c.geom) as lat, ST_AsGeoJSON(c.view_geom, 6)::json as view
from camera c join visible_school v using (school_id) join school s using (school_id)
where c.camera_id = %(feature_id)s::integer;

-- name: devices_packed
-- Points (buttons, sirens, contacts) of the devices in a tile: id, place, device, zone. A point without a place stands at its school.
-- The school's box finds them; 0.02 degrees is more than any campus is wide.
-- scope: stamped
select count(*)::integer as count,
       string_agg(int4send(point_id) || int2send((px - 32768)::smallint) || int2send((py - 32768)::smallint) || int4send(device_id) || int2send(zone), ''
                  order by point_id) as records
from (
  select p.point_id, p.device_id, array_position(array['panic', 'contact', 'tamper', 'siren', 'strobe', 'lock'], p.zone)::smallint as zone,
         floor(((ST_X(coalesce(p.geom, s.geom)) + 180) / 360 * 2 ^ %(z)s::integer - %(x)s::integer) * 65536)::integer as px,
         floor(((1 - asinh(tan(radians(ST_Y(coalesce(p.geom, s.geom))))) / pi()) / 2 * 2 ^ %(z)s::integer - %(y)s::integer) * 65536)::integer as py
  from school s
  join device d on d.school_id = s.school_id and d.is_enabled
  join point p using (device_id)
  where s.geom && ST_Expand(ST_Transform(ST_TileEnvelope(%(z)s::integer, %(x)s::integer, %(y)s::integer), 4326), 0.02)
    and ((select current_setting('campus.city') = '1')
      or s.district_code = any ((select string_to_array(current_setting('campus.districts'), ','))::text[])
      or s.street_code = any ((select string_to_array(current_setting('campus.streets'), ','))::text[])
      or s.school_id in (select unnest(string_to_array(current_setting('campus.schools'), ','))::integer))
) point_at
where px between 0 and 65535 and py between 0 and 65535;

-- name: device_states
-- State of each visible device that has one: 1 up, 2 lost, 3 fault; unknown ones are left out.
-- scope: visible_school
select count(*)::integer as count, string_agg(int4send(device_id) || int2send(code), '' order by device_id) as records
from (
  select d.device_id, array_position(array['up', 'lost', 'fault'], d.state)::smallint as code
  from device d join visible_school v using (school_id)
  where d.state <> 'unknown' and d.is_enabled
) device_state;

-- name: device_feature
-- One point of a device in words: where it is, and how the device is.
-- scope: visible_school
select p.name_zh, p.name_en, p.zone, p.channel, p.proved_at, d.code, d.kind, d.device_id, d.state, d.state_reason, d.state_at, d.seen_at, d.demo,
       d.school_id, s.name_zh as school_zh, s.name_en as school_en
from point p join device d using (device_id) join visible_school v using (school_id) join school s using (school_id)
where p.point_id = %(feature_id)s::integer;

-- name: units_now
-- Every unit of the reader's districts and streets with a known place, as a JSON list; the time of the answer goes with it, ages are counted from it.
-- scope: stamped
select json_build_object('now', clock_timestamp(), 'units', coalesce(json_agg(json_build_object(
    'unit_id', unit_id, 'code', code, 'name_zh', name_zh, 'name_en', name_en, 'kind', kind, 'status', status,
    'lon', round(ST_X(geom)::numeric, 6), 'lat', round(ST_Y(geom)::numeric, 6), 'accuracy_m', accuracy_m, 'at', position_at
  ) order by unit_id), '[]'))::text as body
from unit
where geom is not null
  and ((select current_setting('campus.city') = '1')
    or district_code = any ((select string_to_array(current_setting('campus.districts'), ','))::text[])
    or street_code = any ((select string_to_array(current_setting('campus.streets'), ','))::text[]));

-- name: unit_feature
-- One unit in words.
-- scope: stamped
select code, name_zh, name_en, kind, status, accuracy_m, position_at as state_at, position_at as seen_at
from unit
where unit_id = %(feature_id)s::integer
  and ((select current_setting('campus.city') = '1')
    or district_code = any ((select string_to_array(current_setting('campus.districts'), ','))::text[])
    or street_code = any ((select string_to_array(current_setting('campus.streets'), ','))::text[]));
