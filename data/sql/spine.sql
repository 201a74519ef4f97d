-- name: hold_order
-- Take the one order of outbox and chains until the commit.
-- scope: none because it reads nothing
select hold_order();

-- name: put_outbox
-- One message to every browser that may see it; its number is the SSE id.
-- scope: none because the row is stamped for its readers, whoever writes it
insert into outbox (kind, requires, district_code, street_code, school_id, body)
values (%(kind)s, %(requires)s, %(district_code)s, %(street_code)s, %(school_id)s, %(body)s)
returning seq;

-- name: put_outbox_many
-- Many messages of one kind, numbered in the order given.
-- scope: none because each row is stamped for its readers, whoever writes it
insert into outbox (kind, requires, district_code, street_code, school_id, body)
select %(kind)s, %(requires)s, g.district_code, g.street_code, g.school_id, g.body
from rows from (jsonb_to_recordset(%(rows)s::jsonb) as (district_code text, street_code text, school_id integer, body jsonb))
     with ordinality as g(district_code, street_code, school_id, body, ordinal)
order by g.ordinal;

-- name: last_outbox
-- The newest number; inside a transaction that wrote, its own.
-- scope: none because it is a number
select max(seq) as seq from outbox;

-- name: trim_outbox
-- Remove messages no browser can ask for any more; the newest stays, so that numbers are never told twice.
-- scope: none because it is the timed job of the whole city
delete from outbox where created_at < now() - make_interval(hours => %(hours)s::integer) and seq < (select max(seq) from outbox);

-- name: write_audit
-- Append to the audit chain; sequence, time and hash are the trigger's.
-- scope: none because everybody's acts are recorded
insert into audit (account_id, act, object, reason, data)
values (%(account_id)s, %(act)s, %(object)s, %(reason)s, %(data)s)
returning seq;

-- name: audit_chain
-- Every link with the text its hash covers, in order.
-- scope: none because a chain is whole or worthless; the door asks for audit.view
select seq, hash, prev_hash,
       concat_ws(E'\x1f', seq, (extract(epoch from at) * 1000000)::bigint, coalesce(account_id::text, ''), act, object, reason, data::text) as said
from audit order by seq;

-- name: alarm_step_chain
-- Every link with the text its hash covers, in order.
-- scope: none because a chain is whole or worthless; the door asks for audit.view
select seq, hash, prev_hash,
       concat_ws(E'\x1f', seq, alarm_id, (extract(epoch from at) * 1000000)::bigint, act, coalesce(account_id::text, ''),
                 coalesce(event_id, ''), data::text) as said
from alarm_step order by seq;

-- name: chain_head
-- Where a chain says it ends.
-- scope: none because it is a number and a hash
select seq, hash from chain where name = %(name)s;

-- name: insert_events
-- Store a batch; what is already there is left alone and not returned. An event nobody can place is kept as unassigned.
-- scope: none because ingest stores for the whole city
with given as (
  select * from jsonb_to_recordset(%(events)s::jsonb) as g(event_id text, kind text, source text, seq bigint, subject text, channel integer,
    event_at timestamptz, uncertainty_ms integer, spooled_at timestamptz, demo boolean, data jsonb)
)
insert into event (event_id, kind, source, seq, subject, channel, event_at, uncertainty_ms, spooled_at, demo, data, is_assigned)
select g.event_id, g.kind, g.source, g.seq, g.subject, g.channel, g.event_at, g.uncertainty_ms, g.spooled_at, g.demo, g.data,
       g.subject = ''
       or exists (select from device d where d.code = g.subject and (g.channel is null or exists (
            select from point p where p.device_id = d.device_id and p.channel = g.channel
              and p.direction = case when g.kind like 'output.%%' then 'out' else 'in' end)))
       or exists (select from camera c where c.code = g.subject)
       or exists (select from unit u where u.code = g.subject)
from given g
on conflict (event_id) do nothing
returning event_id, is_assigned;

-- name: wait_at_most
-- How long this connection waits for a lock and for one statement, in ms, and how many minutes people have to answer a candidate.
-- scope: none because it reads nothing
select set_config('lock_timeout', %(lock_ms)s, false), set_config('statement_timeout', %(statement_ms)s, false),
       set_config('campus.candidate_minutes', %(candidate_minutes)s, false);

-- name: mark_source
-- Note the numbers that are in; gives the number up to which nothing is missing.
-- scope: none because marks say nothing about any place
select mark_source(%(source)s, %(seqs)s, %(floor)s) as mark;

-- name: marks
-- The marks of all sources; a worker that has a configuration and never sent anything is at 0.
-- scope: none because marks say nothing about any place
select source, seq from source_mark
union all
select worker, 0 from desired d where not exists (select from source_mark m where m.source = d.worker);

-- name: insert_dead_letter
-- Keep what cannot be read or stored, byte for byte.
-- scope: none because nobody knows where it belongs
insert into dead_letter (stream, entry_id, body, reason) values (%(stream)s, %(entry_id)s, %(body)s, %(reason)s)
on conflict (stream, entry_id) do nothing
returning dead_letter_id;

-- name: dead_letters
-- Those that wait first, then the newest.
-- scope: none because nobody knows where they belong; the door asks for deadletter.view
select d.dead_letter_id, d.stream, d.entry_id, d.reason, d.received_at, d.replayed_at, d.outcome, a.name_zh as replayed_by_zh,
       a.name_en as replayed_by_en, octet_length(d.body) as bytes, left(encode(d.body, 'escape'), 2000) as said
from dead_letter d left join account a on a.account_id = d.replayed_by
order by d.replayed_at is not null, d.dead_letter_id desc
limit %(limit)s;

-- name: dead_letters_waiting
-- How many nobody has replayed.
-- scope: none because nobody knows where they belong; the door asks for deadletter.view
select count(*) as waiting from dead_letter where replayed_at is null;

-- name: take_dead_letter
-- One to replay, held against a second person doing the same.
-- scope: none because nobody knows where it belongs; the door asks for deadletter.replay
select dead_letter_id, stream, entry_id, body, outcome from dead_letter where dead_letter_id = %(dead_letter_id)s for update;

-- name: settle_dead_letter
-- What came of the replay; one that failed again keeps waiting.
-- scope: none because nobody knows where it belongs; the door asks for deadletter.replay
update dead_letter set outcome = %(outcome)s, replayed_by = %(account_id)s, replayed_at = case when %(is_done)s then clock_timestamp() end
where dead_letter_id = %(dead_letter_id)s;

-- name: unassigned_events
-- Events of inputs nobody has registered, the newest first.
-- scope: none because nobody knows where they belong; the door asks for device.view
select event_id, kind, subject, channel, event_at, stored_at, data, demo from event
where not is_assigned and stored_at > now() - make_interval(days => %(days)s::integer)
order by stored_at desc limit %(limit)s;

-- name: keep_fix_months
-- Make the months of positions that come, drop those whose last trail is too old.
-- scope: none because it is the timed job of the whole city
select keep_fix_months(%(keep_days)s) as dropped;

-- name: forget_old_fixes
-- No named trail outlives its days, whatever month it lies in.
-- scope: none because it is the timed job of the whole city
delete from fix where at < now() - make_interval(days => %(keep_days)s::integer);
