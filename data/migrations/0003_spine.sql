-- depends: 0002_accounts
-- What every room stands on: received events, dead letters, outbox, chains, scope.

-- One order for the whole city: whoever writes to the outbox or to a chain holds this lock until
-- its commit, so sequence numbers become visible in their own order and a reader that has seen n
-- has seen everything below n.
create function hold_order() returns void language sql as $$ select pg_advisory_xact_lock(7201834550117) $$;

create table event (
  event_id text primary key,
  kind text not null,
  source text not null,
  seq bigint not null,
  subject text not null,
  channel integer,
  event_at timestamptz not null,
  uncertainty_ms integer not null default 0,
  spooled_at timestamptz,
  stored_at timestamptz not null default clock_timestamp(),
  is_assigned boolean not null default true,   -- false: no such device or channel in the database
  demo boolean not null default false,
  data jsonb not null default '{}'
);
create index on event (stored_at desc);
create index on event (subject, event_at desc);
create index on event (stored_at desc) where not is_assigned;

create table source_mark (
  source text primary key,
  seq bigint not null,                          -- everything up to here is in `event` or `dead_letter`
  updated_at timestamptz not null default now()
);

create table dead_letter (
  dead_letter_id bigint generated always as identity primary key,
  stream text not null,
  entry_id text not null,
  body bytea not null,
  reason text not null,
  received_at timestamptz not null default now(),
  replayed_at timestamptz,
  replayed_by integer references account,
  outcome text,
  unique (stream, entry_id)
);

create table outbox (
  seq bigint primary key,                       -- the SSE id
  kind text not null,                           -- `<noun>.changed`
  requires text not null,                       -- permission a reader needs
  district_code text,                           -- all null: city-wide, shown to everyone with the permission
  street_code text,
  school_id integer,
  body jsonb not null,
  created_at timestamptz not null default clock_timestamp()
);
create sequence outbox_seq;
create index on outbox (created_at);
create function outbox_number() returns trigger language plpgsql as $$
begin
  perform hold_order();
  new.seq := nextval('outbox_seq');
  return new;
end $$;
create trigger outbox_number before insert on outbox for each row execute function outbox_number();

-- Append-only, hash-chained: who did what. `hash` covers the row and the hash before it.
create table audit (
  seq bigint primary key,
  at timestamptz not null,
  account_id integer,
  act text not null,
  object text not null default '',
  reason text not null default '',
  data jsonb not null default '{}',
  prev_hash bytea not null,
  hash bytea not null
);
create table chain (
  name text primary key,
  seq bigint not null,
  hash bytea not null
);
insert into chain values ('audit', 0, '\x00'), ('alarm_step', 0, '\x00');
create function audit_link() returns trigger language plpgsql security definer set search_path = public, pg_temp as $$
declare last chain;
begin
  perform hold_order();
  select * into last from chain where name = 'audit' for update;
  new.seq := last.seq + 1;
  new.at := clock_timestamp();
  new.prev_hash := last.hash;
  new.hash := sha256(last.hash || convert_to(concat_ws(E'\x1f', new.seq, (extract(epoch from new.at) * 1000000)::bigint,
    coalesce(new.account_id::text, ''), new.act, new.object, new.reason, new.data::text), 'UTF8'));
  update chain set seq = new.seq, hash = new.hash where name = 'audit';
  return new;
end $$;
create trigger audit_link before insert on audit for each row execute function audit_link();

-- The one place where scope becomes rows. Settings are made for the transaction by data.core.db.scoped.
create view visible_school as
select s.school_id, s.district_code, s.street_code
from school s
where (select current_setting('campus.city')) = '1'
   or s.district_code = any ((select string_to_array(current_setting('campus.districts'), ','))::text[])
   or s.street_code = any ((select string_to_array(current_setting('campus.streets'), ','))::text[])
   or s.school_id = any ((select string_to_array(current_setting('campus.schools'), ','))::integer[]);
