-- name: visible_schools
-- How many of the named schools the person may act for.
-- scope: visible_school
select count(*) as seen from visible_school where school_id = any (%(school_ids)s::integer[]);

-- name: fullest_school
-- The highest number of living entries at any of the named schools.
-- scope: none because the cap holds whoever asks; it gives a number
select coalesce(max(n), 0) as entries from (
  select count(*) as n from register_school r join register_entry e using (entry_id)
  where r.school_id = any (%(school_ids)s::integer[]) and not r.is_exempt and e.state in ('proposed', 'active') group by r.school_id
) as counted;

-- name: stored_persons
-- How many persons the city holds templates of (R6).
-- scope: none because it is the counter of the whole city
select count(distinct entry_id) as stored from register_key;

-- name: insert_entry
-- A proposal; it does nothing until somebody else approves it.
-- scope: none because the schools it names are checked with visible_schools before
insert into register_entry (ground, document_number, issuing_body, proof_sha256, sponsor_id, starts_at, expires_at, order_ends_at, born_on,
                            instruction, family_request, police_request, demo)
values (%(ground)s, %(document_number)s, %(issuing_body)s, %(proof_sha256)s, %(sponsor_id)s, %(starts_at)s, %(expires_at)s, %(order_ends_at)s,
        %(born_on)s, %(instruction)s, %(family_request)s, %(police_request)s, %(demo)s)
returning entry_id;

-- name: insert_entry_schools
-- The schools an entry works at, and those its order exempts (R5).
-- scope: none because the schools are checked with visible_schools before
insert into register_school (entry_id, school_id, is_exempt)
select %(entry_id)s, school_id, school_id = any (%(exempt_ids)s::integer[])
from unnest(%(school_ids)s::integer[] || %(exempt_ids)s::integer[]) as named(school_id) group by school_id;

-- name: insert_key
-- The wrapped data key of an entry.
-- scope: none because it belongs to the entry just made
insert into register_key (entry_id, wrapped_key) values (%(entry_id)s, %(wrapped_key)s);

-- name: insert_template
-- The sealed template of an entry for one model.
-- scope: none because it belongs to the entry just made
insert into register_template (entry_id, model_sha256, sealed) values (%(entry_id)s, %(model_sha256)s, %(sealed)s);

-- name: insert_photo
-- The sealed reference photo of an entry.
-- scope: none because it belongs to the entry just made
insert into register_photo (entry_id, sealed) values (%(entry_id)s, %(sealed)s);

-- name: lock_entry
-- An entry with the number of its schools, in all and within the scope; nothing for an entry outside of it.
-- scope: visible_school
select e.*, (select count(*) from register_school r where r.entry_id = e.entry_id) as schools,
       (select count(*) from register_school r join visible_school using (school_id) where r.entry_id = e.entry_id) as schools_seen
from register_entry e
where e.entry_id = %(entry_id)s and exists (select 1 from register_school r join visible_school using (school_id) where r.entry_id = e.entry_id)
for update of e;

-- name: approve_entry
-- A second person says yes: from now on the entry may work.
-- scope: none because the row was locked within the scope before
update register_entry set state = 'active', approver_id = %(account_id)s, approved_at = now() where entry_id = %(entry_id)s;

-- name: over_entries
-- Entries whose time is over but which have not ended yet.
-- scope: none because it is the timed job of the whole city
select entry_id from register_entry where state in ('proposed', 'active') and expires_at <= now() order by entry_id;

-- name: end_entry
-- The entry stays as a line of history; what could recognise somebody goes with the statements below.
-- scope: none because the row was locked within the scope before, or its time is over
update register_entry set state = %(state)s, end_reason = %(end_reason)s, ended_at = now() where entry_id = %(entry_id)s returning ended_at;

-- name: destroy_key
-- The deletion: without this row nothing opens the template and the photo, here or in a backup.
-- scope: none because the row was locked within the scope before, or its time is over
delete from register_key where entry_id = %(entry_id)s;

-- name: delete_templates
-- The ciphertext goes too.
-- scope: none because the row was locked within the scope before, or its time is over
delete from register_template where entry_id = %(entry_id)s;

-- name: delete_photos
-- The ciphertext goes too.
-- scope: none because the row was locked within the scope before, or its time is over
delete from register_photo where entry_id = %(entry_id)s;

-- name: left_of_entry
-- What each store still holds of an entry, counted after the deletion for its receipt.
-- scope: none because it counts rows of one entry that was locked before
select (select count(*) from register_key where entry_id = %(entry_id)s) as register_key,
       (select count(*) from register_template where entry_id = %(entry_id)s) as register_template,
       (select count(*) from register_photo where entry_id = %(entry_id)s) as register_photo,
       (select count(*) from candidate where entry_id = %(entry_id)s and state in ('open', 'unsure') and sealed_picture is not null) as candidate;

-- name: entries
-- The register as its officers see it: never a template, a photo or a key.
-- scope: visible_school
select e.entry_id, e.ground, e.document_number, e.issuing_body, e.state, e.starts_at, e.expires_at, e.order_ends_at, e.instruction, e.demo,
       e.ended_at, e.end_reason, sponsor.name_zh as sponsor_zh, sponsor.name_en as sponsor_en, approver.name_zh as approver_zh, approver.name_en as approver_en,
       array(select r.school_id from register_school r where r.entry_id = e.entry_id and not r.is_exempt order by 1) as school_ids
from register_entry e
join account sponsor on sponsor.account_id = e.sponsor_id
left join account approver on approver.account_id = e.approver_id
where exists (select 1 from register_school r join visible_school using (school_id) where r.entry_id = e.entry_id)
order by e.entry_id desc limit %(limit)s;

-- name: gate_configs
-- The gates of a worker that may check faces at this moment.
-- scope: none because workers act for the whole city
select * from valid_gate where worker = %(worker)s order by camera;

-- name: register_of_worker
-- What a worker needs to compare: sealed templates of entries that are valid now, at its valid gates, for those gates' model.
-- scope: none because workers act for the whole city
select e.entry_id, e.expires_at as until, t.model_sha256, t.sealed, k.wrapped_key,
       array_agg(distinct g.camera order by g.camera) as cameras, array_agg(distinct g.school_id order by g.school_id) as schools
from register_entry e
join register_key k using (entry_id)
join register_template t using (entry_id)
join register_school r on r.entry_id = e.entry_id and not r.is_exempt
join valid_gate g on g.school_id = r.school_id and g.model_sha256 = t.model_sha256 and g.demo = e.demo
where g.worker = %(worker)s and e.state = 'active' and e.starts_at <= now() and e.expires_at > now()
group by e.entry_id, t.template_id, k.entry_id
order by e.entry_id;

-- name: gate_of_event
-- Whether what a worker proposes can be: a valid gate of that camera, and an entry that works there now.
-- scope: none because ingest acts for the whole city
select c.camera_id, c.school_id, c.district_code, c.street_code, c.demo, g.threshold as gate_threshold,
       coalesce(nullif(current_setting('campus.candidate_minutes', true), ''), '10')::integer as minutes,
       (e.state = 'active' and e.starts_at <= %(found_at)s and e.expires_at > %(found_at)s and e.expires_at > now() and not r.is_exempt) as is_valid
from camera c
join register_entry e on e.entry_id = %(entry_id)s::integer
join register_school r on r.entry_id = e.entry_id and r.school_id = c.school_id
join valid_gate g on g.camera_id = c.camera_id and g.model_sha256 = %(model_sha256)s
where c.code = %(camera)s;

-- name: insert_candidate
-- A proposal of the machine, with its sealed picture while it is fresh.
-- scope: none because ingest acts for the whole city; the row is stamped for its readers
insert into candidate (event_id, camera_id, school_id, district_code, street_code, entry_id, score, threshold, model_sha256, expected_false_per_day,
                       found_at, expires_at, state, sealed_picture, picture_deleted_at, demo)
values (%(event_id)s, %(camera_id)s, %(school_id)s, %(district_code)s, %(street_code)s, %(entry_id)s, %(score)s, %(threshold)s, %(model_sha256)s,
        %(expected_false_per_day)s, %(found_at)s, %(expires_at)s, %(state)s, %(sealed_picture)s,
        case when %(sealed_picture)s::bytea is null then now() end, %(demo)s)
on conflict (event_id) do nothing
returning candidate_id;

-- name: insert_candidate_key
-- The wrapped key of a candidate's picture.
-- scope: none because it belongs to the candidate just made
insert into candidate_key (candidate_id, wrapped_key) values (%(candidate_id)s, %(wrapped_key)s);

-- name: candidate_body
-- One candidate as browsers get it.
-- scope: none because the caller has just changed it; readers get it by its stamp
select * from candidate_body where candidate_id = %(candidate_id)s;

-- name: open_candidates
-- Candidates that wait for an answer, the newest first.
-- scope: visible_school
select b.* from candidate_body b join visible_school v using (school_id)
where b.state in ('open', 'unsure') and b.expires_at > now() order by b.found_at desc limit 200;

-- name: lock_candidate
-- A candidate within the scope, locked.
-- scope: visible_school
select c.*, c.expires_at <= now() as is_over, k.code as camera, k.name_zh as camera_zh, k.name_en as camera_en
from candidate c join camera k using (camera_id)
where c.candidate_id = %(candidate_id)s and exists (select 1 from visible_school v where v.school_id = c.school_id)
for update of c;

-- name: answer_candidate
-- What a named person said.
-- scope: none because the row was locked within the scope before
update candidate set state = %(state)s, answered_by = %(account_id)s, answered_at = now(), alarm_id = %(alarm_id)s where candidate_id = %(candidate_id)s;

-- name: delete_candidate_keys
-- The deletion of pictures: nothing opens them any more, here or in a backup.
-- scope: none because the callers chose the candidates
delete from candidate_key where candidate_id = any (%(candidate_ids)s::bigint[]);

-- name: drop_candidate_pictures
-- The ciphertext goes too.
-- scope: none because the callers chose the candidates
update candidate set sealed_picture = null, picture_deleted_at = now() where candidate_id = any (%(candidate_ids)s::bigint[]) and sealed_picture is not null;

-- name: over_candidates
-- Candidates nobody decided in time, those of an entry that has ended, and confirmed ones older than their school keeps video.
-- scope: none because it is the timed job of the whole city
select c.candidate_id from candidate c join school s using (school_id)
where (c.state = 'open' and (c.expires_at <= now() or c.entry_id = %(entry_id)s::integer))
   or (c.state = 'unsure' and c.sealed_picture is not null and (c.expires_at <= now() or c.entry_id = %(entry_id)s::integer))
   or (c.state = 'confirmed' and c.sealed_picture is not null and c.found_at < now() - make_interval(days => s.retention_days))
order by c.candidate_id for update of c;

-- name: expire_candidates
-- Nobody answered: over. One that was answered "not sure" stays so, without its picture.
-- scope: none because it is the timed job of the whole city
update candidate set state = 'expired' where candidate_id = any (%(candidate_ids)s::bigint[]) and state = 'open';

-- name: raise_candidate_alarm
-- A person confirmed a candidate: now it is an alarm.
-- scope: none because the candidate was locked within the scope before
insert into alarm (kind, priority, school_id, district_code, street_code, candidate_id, subject, event_id, event_at, last_at, demo, place_zh, place_en, geom)
select 'candidate', 'high', c.school_id, c.district_code, c.street_code, c.candidate_id, k.code, c.event_id, c.found_at, c.found_at, c.demo,
       k.name_zh, k.name_en, k.geom
from candidate c join camera k using (camera_id) where c.candidate_id = %(candidate_id)s
returning alarm_id;

-- name: add_alarm_step
-- The first link of the alarm's history: who confirmed.
-- scope: none because the alarm was just raised
insert into alarm_step (alarm_id, act, account_id, event_id, data) values (%(alarm_id)s, 'raised', %(account_id)s, %(event_id)s, %(data)s);

-- name: alarm_body
-- The new alarm as browsers get it.
-- scope: none because the alarm was just raised
select * from alarm_body where alarm_id = %(alarm_id)s;

-- name: candidate_pictures
-- The sealed pictures of a candidate within the scope while they may be looked at.
-- scope: visible_school
select c.event_id, c.entry_id, c.sealed_picture, k.wrapped_key, p.sealed as entry_photo, e.wrapped_key as entry_key
from candidate c
left join candidate_key k using (candidate_id)
left join register_key e on e.entry_id = c.entry_id
left join lateral (select sealed from register_photo where entry_id = c.entry_id order by photo_id limit 1) p on true
where c.candidate_id = %(candidate_id)s and (c.state = 'confirmed' or (c.state in ('open', 'unsure') and c.expires_at > now()))
  and exists (select 1 from visible_school v where v.school_id = c.school_id);

-- name: count_passages
-- Add to a gate's number of the day.
-- scope: none because ingest acts for the whole city; nothing about anyone is in it
insert into gate_count (camera_id, day, passages, candidates)
select c.camera_id, (%(at)s::timestamptz at time zone %(tz)s)::date, %(passages)s, %(candidates)s from camera c where c.code = %(camera)s
on conflict (camera_id, day) do update set passages = gate_count.passages + excluded.passages, candidates = gate_count.candidates + excluded.candidates;

-- name: insert_assessment
-- An impact assessment names one model and one threshold.
-- scope: none because an assessment belongs to the city
insert into impact_assessment (number, purpose, model_sha256, threshold, approved_by, approved_on, demo)
values (%(number)s, 'public_safety', %(model_sha256)s, %(threshold)s, %(approved_by)s, %(approved_on)s, %(demo)s) returning assessment_id;

-- name: assessment_by_number
-- An assessment and whether it still holds.
-- scope: none because an assessment belongs to the city
select *, approved_on <= current_date and approved_on + interval '1 year' > now() as is_current from impact_assessment where number = %(number)s;

-- name: gate_camera
-- A camera within the scope that shall be switched.
-- scope: visible_school
select c.camera_id, c.code, c.demo, c.worker from camera c
where c.code = %(camera)s and exists (select 1 from visible_school v where v.school_id = c.school_id) for update of c;

-- name: switch_gate
-- Turn the check of a gate on or off; off keeps what was said before.
-- scope: none because the camera was locked within the scope before
insert into gate_check (camera_id, is_enabled, assessment_id, threshold, other_way_in, enabled_by, enabled_at)
values (%(camera_id)s, %(is_on)s, %(assessment_id)s, %(threshold)s, %(other_way_in)s, %(account_id)s, now())
on conflict (camera_id) do update set is_enabled = excluded.is_enabled,
  assessment_id = coalesce(excluded.assessment_id, gate_check.assessment_id), threshold = excluded.threshold,
  other_way_in = case when excluded.other_way_in <> '' then excluded.other_way_in else gate_check.other_way_in end,
  enabled_by = excluded.enabled_by, enabled_at = excluded.enabled_at;

-- name: mark_gate_camera
-- The camera's own flag goes with the gate's.
-- scope: none because the camera was locked within the scope before
update camera set is_gate_check = %(is_on)s where camera_id = %(camera_id)s;

-- name: gates
-- Every gate that was ever switched, with its numbers of the last 30 days: the transparency of the check.
-- scope: visible_school
select g.camera_id, c.code as camera, c.name_zh, c.name_en, c.school_id, g.is_enabled, v.camera_id is not null as is_valid, g.threshold, g.other_way_in,
       a.number as assessment, a.approved_on, a.model_sha256, g.enabled_at, coalesce(n.passages, 0) as passages, coalesce(n.candidates, 0) as candidates
from gate_check g
join camera c using (camera_id)
join visible_school using (school_id)
left join impact_assessment a using (assessment_id)
left join valid_gate v on v.camera_id = g.camera_id
left join lateral (select sum(passages)::integer as passages, sum(candidates)::integer as candidates from gate_count
                   where camera_id = g.camera_id and day > current_date - 30) n on true
order by c.code;
