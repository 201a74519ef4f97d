-- name: hold_attempts
-- One attempt of a login from an address at a time, so that parallel guesses are counted one by one.
-- scope: none because nobody is logged in yet
select pg_advisory_xact_lock(hashtextextended(%(login)s || chr(31) || %(address)s, 0))

-- name: recent_failures
-- Failed attempts in the window: of this login from this address since its last success, and of the address altogether.
-- scope: none because nobody is logged in yet
select count(*) filter (where login = %(login)s) as of_login,
       count(*) as of_address,
       extract(epoch from clock_timestamp() - max(at) filter (where login = %(login)s))::float8 as login_age_s,
       extract(epoch from clock_timestamp() - max(at))::float8 as address_age_s
from login_attempt a
where address = %(address)s and not ok and at > now() - make_interval(secs => %(window_s)s)
  and at > coalesce((select max(at) from login_attempt g where g.login = a.login and g.address = a.address and g.ok), '-infinity')

-- name: add_attempt
-- An attempt, failed until it is known to have succeeded.
-- scope: none because nobody is logged in yet
insert into login_attempt (login, address, ok) values (%(login)s, %(address)s, false) returning attempt_id

-- name: attempt_succeeded
-- The password was right.
-- scope: none because nobody is logged in yet
update login_attempt set ok = true where attempt_id = %(attempt_id)s

-- name: forget_attempts
-- Attempts are personal data; a day is enough to slow down a guesser.
-- scope: none because nobody is logged in yet
delete from login_attempt where at < now() - interval '1 day'

-- name: account_by_login
-- The account behind a login, with the hash of its password.
-- scope: none because nobody is logged in yet
select account_id, login, password_hash, name_zh, name_en, role, is_city, district_codes, street_codes, school_ids, cell_ids, lang, demo
from account where login = %(login)s and is_active

-- name: open_session
-- A session that ends after so many hours.
-- scope: none because it makes the session the scope comes from
insert into session (session_hash, account_id, csrf_token, expires_at, address, user_agent)
values (%(session_hash)s, %(account_id)s, %(csrf_token)s, now() + make_interval(hours => %(hours)s), %(address)s, left(%(user_agent)s, 300))
returning expires_at

-- name: live_sessions
-- Sessions that have not ended, of accounts that are still active, seen within the idle limit.
-- scope: none because it reads the session the scope comes from
select s.session_hash, s.csrf_token, s.expires_at, s.seen_at, a.account_id, a.login, a.name_zh, a.name_en, a.role, a.is_city,
       a.district_codes, a.street_codes, a.school_ids, a.cell_ids, a.lang, a.demo
from session s join account a using (account_id)
where s.session_hash = any (%(session_hashes)s::bytea[]) and s.ended_at is null and s.expires_at > now()
  and s.seen_at > now() - make_interval(secs => %(idle_s)s) and a.is_active

-- name: touch_sessions
-- Written at most once a minute each: a wall asks many times a second.
-- scope: none because it writes the session the scope comes from
update session set seen_at = now()
where session_hash = any (%(session_hashes)s::bytea[]) and ended_at is null and seen_at < now() - interval '1 minute'

-- name: end_session
-- It is over for every copy of the cookie.
-- scope: none because it ends the session the scope comes from
update session set ended_at = now() where session_hash = %(session_hash)s and ended_at is null returning account_id

-- name: end_sessions_of
-- Every session of an account is over.
-- scope: none because accounts are not places
update session set ended_at = now() where account_id = %(account_id)s and ended_at is null returning session_hash

-- name: set_lang
-- The language an account reads.
-- scope: none because it is one's own account
update account set lang = %(lang)s where account_id = %(account_id)s

-- name: token_account
-- The account behind an API token, with what the token may do.
-- scope: none because it reads the account the scope comes from
select t.token_hash, t.permissions, t.used_at, a.account_id, a.login, a.name_zh, a.name_en, a.role, a.is_city,
       a.district_codes, a.street_codes, a.school_ids, a.cell_ids, a.lang, a.demo
from api_token t join account a using (account_id)
where t.token_hash = %(token_hash)s and t.revoked_at is null and (t.expires_at is null or t.expires_at > now()) and a.is_active

-- name: touch_token
-- When a token was last used, to the minute.
-- scope: none because it is the token's own row
update api_token set used_at = now() where token_hash = %(token_hash)s and (used_at is null or used_at < now() - interval '1 minute')

-- name: add_token
-- A token of an account; only its hash is kept.
-- scope: none because accounts are not places
insert into api_token (token_hash, account_id, name, permissions, expires_at)
select %(token_hash)s, account_id, %(name)s, %(permissions)s::text[], now() + make_interval(days => %(days)s)
from account where login = %(login)s
returning account_id

-- name: add_account
-- An account; schools are given by code, those that do not exist are missing in what comes back.
-- scope: none because accounts are not places
insert into account (login, password_hash, name_zh, name_en, role, is_city, district_codes, street_codes, school_ids, lang)
values (%(login)s, %(password_hash)s, %(name_zh)s, %(name_en)s, %(role)s, %(is_city)s, %(district_codes)s::text[], %(street_codes)s::text[],
        (select coalesce(array_agg(school_id order by school_id), '{}') from school where code = any (%(school_codes)s::text[])), %(lang)s)
returning account_id, school_ids

-- name: set_password
-- A new password.
-- scope: none because accounts are not places
update account set password_hash = %(password_hash)s where login = %(login)s returning account_id

-- name: set_active
-- Switch an account on or off.
-- scope: none because accounts are not places
update account set is_active = %(is_active)s where login = %(login)s returning account_id

-- name: accounts
-- Every account without its password.
-- scope: none because accounts are not places
select login, name_zh, name_en, role, is_city, district_codes, street_codes, cardinality(school_ids) as schools, is_active, demo,
       (select max(seen_at) from session s where s.account_id = a.account_id) as seen_at
from account a order by login
