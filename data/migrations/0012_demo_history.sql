-- depends: 0010_pipe
-- The demo city's past belongs into the hash chain like any other, with the times it had. The role `app` cannot write a
-- chain; this does it, from demo alarms that are closed, and only as long as the chain has no link at all.
create function demo_alarm_history() returns bigint language plpgsql security definer set search_path = public, pg_temp as $$
declare
  head chain;
  step record;
begin
  perform hold_order();
  select * into head from chain where name = 'alarm_step' for update;
  if head.seq <> 0 or exists (select from alarm where not demo or state <> 'closed') then
    raise exception 'the history of alarms has begun: the demo city goes into an empty database only';
  end if;
  alter table alarm_step disable trigger alarm_step_link;
  for step in
    select a.alarm_id, s.at, s.act, s.account_id, s.event_id, s.data
    from alarm a cross join lateral (values
      (1, a.raised_at, 'raised', null::integer, a.event_id, jsonb_build_object('press', a.presses, 'count', a.presses, 'capture', 'counter')),
      (2, a.acknowledged_at, 'acknowledged', a.acknowledged_by, null, '{}'::jsonb),
      (3, a.restored_at, 'restored', null, null, '{}'::jsonb),
      (4, a.closed_at, 'closed', a.closed_by, null, jsonb_build_object('cause', a.cause, 'note', a.note))
    ) as s (rank, at, act, account_id, event_id, data)
    where s.at is not null
    order by s.at, a.alarm_id, s.rank
  loop
    head.seq := head.seq + 1;
    insert into alarm_step (seq, alarm_id, at, act, account_id, event_id, data, prev_hash, hash)
    values (head.seq, step.alarm_id, step.at, step.act, step.account_id, step.event_id, step.data, head.hash,
      sha256(head.hash || convert_to(concat_ws(E'\x1f', head.seq, step.alarm_id, (extract(epoch from step.at) * 1000000)::bigint,
        step.act, coalesce(step.account_id::text, ''), coalesce(step.event_id, ''), step.data::text), 'UTF8')))
    returning hash into head.hash;
  end loop;
  alter table alarm_step enable trigger alarm_step_link;
  update chain set seq = head.seq, hash = head.hash where name = 'alarm_step';
  return head.seq;
end $$;
revoke all on function demo_alarm_history() from public;
grant execute on function demo_alarm_history() to app;

-- Statistics for the planner right after a load; only an owner may make them.
create function analyze_city() returns void language plpgsql security definer set search_path = public, pg_temp as $$
begin
  analyze;
end $$;
revoke all on function analyze_city() from public;
grant execute on function analyze_city() to app;
