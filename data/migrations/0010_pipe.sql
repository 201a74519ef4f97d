-- depends: 0009_layer_versions
-- What the way from the stream to the wall needs: marks without gaps, order of states, evidence, shares of unassigned alarms.

-- Numbers of a spool that are stored above a gap: panic overtakes, so 10 may be in while 5 still waits.
-- The mark rises only over what is complete, because a spool forgets everything below it.
create table source_span (
  source text not null,
  seq bigint not null,
  primary key (source, seq)
);
create function mark_source(p_source text, p_seqs bigint[], p_floor bigint) returns bigint language plpgsql as $$
declare
  reached bigint;
  had_gap boolean;
  next_seq bigint;
begin
  insert into source_mark (source, seq) values (p_source, 0) on conflict (source) do nothing;
  select seq into reached from source_mark where source = p_source for update;
  had_gap := exists (select from source_span where source = p_source);
  reached := greatest(reached, p_floor);
  for next_seq in
    select n from unnest(p_seqs) as n where n > reached
    union select seq from source_span where source = p_source and seq > reached
    order by 1
  loop
    exit when next_seq > reached + 1;
    reached := next_seq;
  end loop;
  if had_gap then
    delete from source_span where source = p_source and seq <= reached;
  end if;
  insert into source_span (source, seq) select distinct p_source, n from unnest(p_seqs) as n where n > reached on conflict do nothing;
  update source_mark set seq = reached, updated_at = now() where source = p_source and seq <> reached;
  return reached;
end $$;

-- Two consumers may be given two states of one device in the wrong order; the number in the spool says which is newer.
alter table device add column state_source text not null default '';
alter table device add column state_seq bigint not null default 0;
alter table device add column state_held text;     -- what it was when its worker fell silent; null while the worker speaks
alter table camera add column state_source text not null default '';
alter table camera add column state_seq bigint not null default 0;
alter table camera add column state_held text;
alter table device set (fillfactor = 80);          -- room for states to change in place, without touching the indexes
alter table camera set (fillfactor = 80);
create index on camera (recorder_id) where recorder_id is not null;

-- A worker that speaks is the evidence for everything it last called up or ok.
create table worker (
  worker text primary key,
  state text not null default 'up' check (state in ('up', 'silent')),
  state_at timestamptz not null default clock_timestamp(),
  seen_at timestamptz not null default clock_timestamp(),
  beat jsonb not null default '{}'                 -- its last heartbeat: pid, lateness, what waits in its spool
);

-- An alarm from an input nobody has registered is shared by its presses too.
alter table alarm add column subject text not null default '';
alter table alarm add column channel integer;
create unique index alarm_open_unassigned on alarm (subject, channel) nulls not distinct
  where point_id is null and kind in ('panic', 'intrusion', 'tamper') and state <> 'closed';
create unique index alarm_open_sos on alarm (account_id) where kind = 'sos' and state <> 'closed';

-- Alarms a person may see. One that belongs nowhere yet is everybody's: better two look than nobody.
create view visible_alarm as
select a.alarm_id
from alarm a
where (select current_setting('campus.city')) = '1'
   or (a.district_code is null and a.street_code is null and a.school_id is null)
   or a.district_code = any ((select string_to_array(current_setting('campus.districts'), ','))::text[])
   or a.street_code = any ((select string_to_array(current_setting('campus.streets'), ','))::text[])
   or a.school_id = any ((select string_to_array(current_setting('campus.schools'), ','))::integer[]);

-- An alarm as browsers get it. event_id, press, event_at and spooled_at are those of the latest press; first_at and raised_at those of the first.
create view alarm_body as
select a.alarm_id, a.kind, a.priority, a.state, a.school_id, s.code as school_code, s.name_zh as school_zh, s.name_en as school_en,
       a.place_zh, a.place_en, a.district_code, a.street_code, ST_X(a.geom) as lon, ST_Y(a.geom) as lat, a.presses,
       e.event_id, a.presses as press, e.event_at, e.spooled_at, a.event_at as first_at, a.raised_at, a.last_at, a.restored_at,
       a.acknowledged_at, p.name_zh as acknowledged_by_zh, p.name_en as acknowledged_by_en,
       a.closed_at, q.name_zh as closed_by_zh, q.name_en as closed_by_en, a.cause, a.note, a.mode, a.is_while_down, a.demo,
       a.device_id, a.point_id, a.subject, a.channel
from alarm a
left join school s on s.school_id = a.school_id
left join account p on p.account_id = a.acknowledged_by
left join account q on q.account_id = a.closed_by
left join lateral (
  select t.event_id from alarm_step t where t.alarm_id = a.alarm_id and t.act in ('raised', 'pressed') order by t.seq desc limit 1
) latest on true
left join event e on e.event_id = coalesce(latest.event_id, a.event_id);

alter table command add column answer_ms integer;  -- from the request to the read-back, by the worker's clock

-- Ingest hears at once that a worker's configuration or a command is new; it also looks by itself now and then.
create function wake_ingest() returns trigger language plpgsql as $$
begin
  perform pg_notify(tg_argv[0], '');
  return null;
end $$;
create trigger wake_ingest after insert or delete or update of
    code, kind, school_id, profile, transport, host, port, unit, poll_ms, worker, is_enabled, demo
  on device for each statement execute function wake_ingest('campus_desired');
create trigger wake_ingest after insert or delete or update of
    device_id, direction, channel, zone, polarity, is_self_locking, debounce_ms, max_on_s
  on point for each statement execute function wake_ingest('campus_desired');
create trigger wake_ingest after insert or delete or update of code, stream_url, worker, is_gate_check, demo
  on camera for each statement execute function wake_ingest('campus_desired');
create trigger wake_ingest after insert or delete or update on gate_check for each statement execute function wake_ingest('campus_desired');
create trigger wake_ingest after insert on command for each statement execute function wake_ingest('campus_command');

-- Months of positions: made before they are needed, dropped when the last trail in them is too old.
create function keep_fix_months(keep_days integer) returns integer language plpgsql security definer set search_path = public, pg_temp as $$
declare
  month date;
  part text;
  low timestamptz;
  high timestamptz;
  dropped integer := 0;
begin
  perform pg_advisory_xact_lock(7201834550119);
  for month in select (date_trunc('month', now() at time zone 'UTC') + make_interval(months => n))::date from generate_series(0, 1) as n loop
    part := 'fix_' || to_char(month, 'YYYYMM');
    continue when to_regclass(part) is not null;
    low := month::timestamp at time zone 'UTC';
    high := (month + interval '1 month')::timestamp at time zone 'UTC';
    execute format('create table %I (like fix including defaults including constraints)', part);
    execute format('with moved as (delete from fix_default where at >= %L and at < %L returning *) insert into %I select * from moved', low, high, part);
    execute format('alter table fix attach partition %I for values from (%L) to (%L)', part, low, high);
    execute format('grant select, insert, update, delete on %I to app', part);
  end loop;
  for part in
    select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'fix'::regclass and c.relname ~ '^fix_[0-9]{6}$'
      and (to_date(right(c.relname, 6), 'YYYYMM') + interval '1 month') at time zone 'UTC' <= now() - make_interval(days => keep_days)
  loop
    execute format('drop table %I', part);
    dropped := dropped + 1;
  end loop;
  return dropped;
end $$;
revoke all on function keep_fix_months(integer) from public;
grant execute on function keep_fix_months(integer) to app;
