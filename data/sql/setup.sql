-- What `app.py up` asks before anybody has logged in.

-- name: city_is_empty
-- Whether no school has been imported or seeded yet.
-- scope: none because it runs before there is a principal and gives one bit
select not exists (select from school) as is_empty

-- name: demo_logins
-- One login of every demo role of people, in order of their numbers.
-- scope: none because it prints to the terminal of the person who started the demo
select login from (select distinct on (role) login, account_id from account where demo and is_active and role <> 'recorder' order by role, account_id) as first_of_role
order by account_id
