-- depends: 0008_grants
-- From which data a map tile was drawn. What changes the drawing gives its layers a new number in the
-- same transaction, so a tile can be kept for ever under the number it was read at. States (a camera
-- lost, a unit moved) are not in the tiles and do not count here.
create table layer_version (
  layer text primary key,
  version bigint not null default 1
);
insert into layer_version (layer) values ('basemap'), ('campuses'), ('schools'), ('cells'), ('cameras'), ('routes'), ('devices');

create function layer_changed() returns trigger language plpgsql security definer set search_path = public, pg_temp as $$
begin
  update layer_version set version = version + 1 where layer = any (tg_argv);
  return null;
end $$;

create trigger layer_changed after insert or update or delete or truncate on district for each statement execute function layer_changed('basemap');
create trigger layer_changed after insert or update or delete or truncate on street for each statement execute function layer_changed('basemap');
create trigger layer_changed after insert or update or delete or truncate on road for each statement execute function layer_changed('basemap');
create trigger layer_changed after insert or update or delete or truncate on landuse for each statement execute function layer_changed('basemap');
create trigger layer_changed after insert or update or delete or truncate on building for each statement execute function layer_changed('basemap', 'campuses');
create trigger layer_changed after insert or update or delete or truncate on campus for each statement execute function layer_changed('campuses');
create trigger layer_changed after insert or update or delete or truncate on gate for each statement execute function layer_changed('campuses');
create trigger layer_changed after insert or delete or truncate or update of code, name_zh, name_en, kind, district_code, street_code, geom on school
  for each statement execute function layer_changed('schools', 'campuses', 'cells', 'cameras', 'routes', 'devices');
create trigger layer_changed after insert or update or delete or truncate on cell for each statement execute function layer_changed('cells');
create trigger layer_changed after insert or delete or truncate or update of school_id, district_code, street_code, azimuth_deg, fov_deg, range_m, geom on camera
  for each statement execute function layer_changed('cameras');
create trigger layer_changed after insert or update or delete or truncate on route for each statement execute function layer_changed('routes');
create trigger layer_changed after insert or update or delete or truncate on checkpoint for each statement execute function layer_changed('routes');
create trigger layer_changed after insert or delete or truncate or update of school_id, kind on device for each statement execute function layer_changed('devices');
create trigger layer_changed after insert or delete or truncate or update of device_id, direction, zone, geom on point for each statement execute function layer_changed('devices');
