-- name: district_areas
-- Districts with their area, to tell which one a point or a name belongs to.
-- scope: none because an import is done for the whole city by an administrator
select district_code, name_zh, name_en, st_asbinary(geom) as area from district order by district_code;

-- name: street_codes
-- Streets by district, to resolve the names a file uses.
-- scope: none because an import is done for the whole city by an administrator
select street_code, district_code, name_zh, name_en from street order by street_code;

-- name: upsert_district
-- Insert or change one district; says what it did, and nothing when the row was the same already.
-- scope: none because an import is done for the whole city by an administrator
insert into district as d (district_code, is_gb2260, name_zh, name_en, geom, raw_geom, raw_datum)
values (%(district_code)s, %(is_gb2260)s, %(name_zh)s, %(name_en)s, st_multi(st_geomfromwkb(%(geom)s, 4326)), %(raw_geom)s, %(raw_datum)s)
on conflict (district_code) do update
set is_gb2260 = excluded.is_gb2260, name_zh = excluded.name_zh, name_en = excluded.name_en,
    geom = excluded.geom, raw_geom = excluded.raw_geom, raw_datum = excluded.raw_datum
where (d.is_gb2260, d.name_zh, d.name_en, st_asbinary(d.geom), d.raw_geom, d.raw_datum)
      is distinct from (excluded.is_gb2260, excluded.name_zh, excluded.name_en, st_asbinary(excluded.geom), excluded.raw_geom, excluded.raw_datum)
returning (xmax = 0) as is_new;

-- name: upsert_school
-- Insert or change one school by its code; says what it did, and nothing when the row was the same already.
-- scope: none because an import is done for the whole city by an administrator
insert into school as s (code, name_zh, name_en, kind, ownership, district_code, street_code, address, pupils, boarders,
  has_canteen, has_bus, contact_name, contact_phone, retention_days, geom, raw_lon, raw_lat, raw_datum)
values (%(code)s, %(name_zh)s, %(name_en)s, %(kind)s, %(ownership)s, %(district_code)s, %(street_code)s, %(address)s, %(pupils)s, %(boarders)s,
  %(has_canteen)s, %(has_bus)s, %(contact_name)s, %(contact_phone)s, %(retention_days)s,
  st_setsrid(st_makepoint(%(lon)s, %(lat)s), 4326), %(raw_lon)s, %(raw_lat)s, %(raw_datum)s)
on conflict (code) do update
set name_zh = excluded.name_zh, name_en = excluded.name_en, kind = excluded.kind, ownership = excluded.ownership,
    district_code = excluded.district_code, street_code = excluded.street_code, address = excluded.address,
    pupils = excluded.pupils, boarders = excluded.boarders, has_canteen = excluded.has_canteen, has_bus = excluded.has_bus,
    contact_name = excluded.contact_name, contact_phone = excluded.contact_phone, retention_days = excluded.retention_days,
    geom = excluded.geom, raw_lon = excluded.raw_lon, raw_lat = excluded.raw_lat, raw_datum = excluded.raw_datum, updated_at = now()
where (s.name_zh, s.name_en, s.kind, s.ownership, s.district_code, s.street_code, s.address, s.pupils, s.boarders, s.has_canteen, s.has_bus,
       s.contact_name, s.contact_phone, s.retention_days, s.raw_lon, s.raw_lat, s.raw_datum)
      is distinct from (excluded.name_zh, excluded.name_en, excluded.kind, excluded.ownership, excluded.district_code, excluded.street_code,
       excluded.address, excluded.pupils, excluded.boarders, excluded.has_canteen, excluded.has_bus, excluded.contact_name, excluded.contact_phone,
       excluded.retention_days, excluded.raw_lon, excluded.raw_lat, excluded.raw_datum)
returning (xmax = 0) as is_new;
