-- depends: 0012_candidate_body 0012_demo_history
-- The mark in one step a number: with thousands stored above a gap, looking through all of them at every commit fed on itself.
create or replace function mark_source(p_source text, p_seqs bigint[], p_floor bigint) returns bigint language plpgsql as $$
declare
  start bigint;
  reached bigint;
  n bigint;
  above bigint[] := '{}';
begin
  insert into source_mark (source, seq) values (p_source, 0) on conflict (source) do nothing;
  select seq into start from source_mark where source = p_source for update;
  reached := greatest(start, p_floor);
  for n in select distinct s from unnest(p_seqs) as s where s > reached order by 1 loop
    while n > reached + 1 and exists (select from source_span where source = p_source and seq = reached + 1) loop
      reached := reached + 1;
    end loop;
    if n = reached + 1 then
      reached := n;
    elsif n > reached then
      above := above || n;
    end if;
  end loop;
  while exists (select from source_span where source = p_source and seq = reached + 1) loop
    reached := reached + 1;
  end loop;
  if reached > start then
    delete from source_span where source = p_source and seq <= reached;
    update source_mark set seq = reached, updated_at = now() where source = p_source;
  end if;
  if above <> '{}' then
    insert into source_span (source, seq) select p_source, a from unnest(above) as a where a > reached on conflict do nothing;
  end if;
  return reached;
end $$;
