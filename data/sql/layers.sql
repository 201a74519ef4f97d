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
         ST_Transform(ST_Expand(ST_TileEnvelope(%(z)s::integer, %(x)s::integer, %(y)s::integer), 626172.0 / 2 ^ %(z)s::integer), 4326) as box,
         39135.75 / 2 ^ %(z)s::integer as half_px_m
),
district_part as (
  select d.district_code, ST_AsMVTGeom(ST_Simplify(ST_Transform(ST_ClipByBox2D(d.geom, tile.box), 3857), tile.half_px_m), tile.edge, 4096, 64) as geom
  from district d, tile
  where d.geom && ST_Transform(ST_TileEnvelope(%(z)s::integer, %(x)s::integer, %(y)s::integer, margin => 0.015625), 4326)
),
landuse_part as (
  select l.kind, ST_AsMVTGeom(ST_Simplify(ST_Transform(ST_ClipByBox2D(l.geom, tile.box), 3857), tile.half_px_m), tile.edge, 4096, 64) as geom
  from landuse l, tile
  where l.geom && ST_Transform(ST_TileEnvelope(%(z)s::integer, %(x)s::integer, %(y)s::integer, margin => 0.015625), 4326)
    and (%(z)s::integer >= 10 or ST_Area(Box2D(l.geom)) > 0.00002)
),
boundary_part as (  -- a border shared by two is one line, or its dashes would fill each other
  select what, ST_AsMVTGeom(ST_Simplify(ST_Transform(ST_LineMerge(ST_UnaryUnion(ST_Collect(line))), 3857), min(half_px_m)), min(edge::text)::geometry, 4096, 64) as geom
  from (
    select 'district' as what, ST_ClipByBox2D(ST_Boundary(d.geom), tile.box) as line, tile.half_px_m, tile.edge
    from district d, tile
    where d.geom && ST_Transform(ST_TileEnvelope(%(z)s::integer, %(x)s::integer, %(y)s::integer, margin => 0.015625), 4326)
    union all
    select 'street', ST_ClipByBox2D(ST_Boundary(s.geom), tile.box), tile.half_px_m, tile.edge
    from street s, tile
    where %(z)s::integer >= 11
      and s.geom && ST_Transform(ST_TileEnvelope(%(z)s::integer, %(x)s::integer, %(y)s::integer, margin => 0.015625), 4326)
  ) border
  group by what
),
road_part as (
  select r.class, case when %(z)s::integer >= 12 then r.name_zh end as zh, case when %(z)s::integer >= 12 then r.name_en end as en,
         ST_AsMVTGeom(ST_Simplify(ST_Transform(ST_LineMerge(ST_Collect(r.geom)), 3857), min(tile.half_px_m)), min(tile.edge::text)::geometry, 4096, 64) as geom
  from road r, tile
  where r.geom && ST_Transform(ST_TileEnvelope(%(z)s::integer, %(x)s::integer, %(y)s::integer, margin => 0.015625), 4326)
    and r.class = any (case when %(z)s::integer <= 8 then array['motorway', 'trunk']
                            when %(z)s::integer <= 9 then array['motorway', 'trunk', 'primary']
                            when %(z)s::integer <= 11 then array['motorway', 'trunk', 'primary', 'secondary']
                            else array['motorway', 'trunk', 'primary', 'secondary', 'residential'] end)
  group by 1, 2, 3
),
building_part as (
  select b.height_m, ST_AsMVTGeom(ST_Transform(b.geom, 3857), tile.edge, 4096, 64) as geom
  from building b, tile
  where %(z)s::integer >= 14 and b.school_id is null
    and b.geom && ST_Transform(ST_TileEnvelope(%(z)s::integer, %(x)s::integer, %(y)s::integer, margin => 0.015625), 4326)
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
    where name_zh <> '' and kind in ('water', 'park') and (%(z)s::integer >= 13 or ST_Area(Box2D(geom)) > 40.0 / 4 ^ %(z)s::integer)
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
where (select current_setting('campus.city')) = '1'
   or district_code = any ((select string_to_array(current_setting('campus.districts'), ','))::text[])
   or street_code = any ((select string_to_array(current_setting('campus.streets'), ','))::text[])
   or school_id = any ((select string_to_array(current_setting('campus.schools'), ','))::integer[]);

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
