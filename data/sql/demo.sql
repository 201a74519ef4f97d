-- Statements of the demo city's loader; the rows themselves go in by COPY.

-- name: hold_city
-- Keep a second loader out until this transaction ends, and say whether there is no city yet.
-- scope: none because the loader runs before anybody can log in
select pg_advisory_xact_lock(7201834550121) is not null as is_held,
  not exists (select from school) and not exists (select from district) as is_empty

-- name: take_numbers
-- Move an identity sequence past the numbers the loader gave out itself; `app` may draw numbers, not set them.
-- scope: none because sequences hold nobody's data
select count(nextval(%(sequence)s::text::regclass)) as taken from generate_series(1, %(count)s)

-- name: write_alarm_history
-- Write the steps of the closed demo alarms into their hash chain.
-- scope: none because the loader runs before anybody can log in
select demo_alarm_history() as written

-- name: analyze_city
-- Give the planner statistics before the first map is drawn.
-- scope: none because it reads no row for anybody
select analyze_city()
