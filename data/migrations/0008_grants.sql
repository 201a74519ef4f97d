-- depends: 0007_field
-- The role the product runs as. It owns nothing; chains can be added to and read, never changed.
grant usage on schema public to app;
grant select, insert, update, delete on all tables in schema public to app;
grant usage, select on all sequences in schema public to app;
alter default privileges in schema public grant select, insert, update, delete on tables to app;
alter default privileges in schema public grant usage, select on sequences to app;
revoke update, delete, truncate on audit, alarm_step, event from app;
revoke all on chain from app;
grant select on chain to app;
do $$
declare name text;
begin
  for name in select tablename from pg_tables where schemaname = 'public' and (tablename like '\_yoyo%' or tablename like 'yoyo%') loop
    execute format('revoke all on %I from app', name);
  end loop;
end $$;
