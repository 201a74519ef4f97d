-- depends: 0010_pipe
-- Keys of candidate pictures, what a missing-child entry needs, and which gates may check faces now.

-- The picture of a candidate is sealed with a key of its own; deleting the row is the deletion of the picture, in backups too.
create table candidate_key (
  candidate_id bigint primary key references candidate,
  wrapped_key bytea not null
);

-- The part of the picture in which faces are compared: left, top, right, bottom as shares of width and height.
alter table gate_check add column zone real[] not null default '{0,0,1,1}'
  check (array_length(zone, 1) = 4 and zone[1] >= 0 and zone[2] >= 0 and zone[3] <= 1 and zone[4] <= 1 and zone[1] < zone[3] and zone[2] < zone[4]);

-- A missing child is the one exception to "nobody under 18": asked for by the family and by the police, for a short time.
alter table register_entry add column family_request text not null default '';
alter table register_entry add column police_request text not null default '';
alter table register_entry add check (
  (ground = 'missing_child') = (born_on > (created_at at time zone 'UTC')::date - interval '18 years'));
alter table register_entry add check (ground <> 'missing_child' or (family_request <> '' and police_request <> '' and expires_at <= starts_at + interval '30 days'));
alter table register_entry add column end_reason text not null default '' check (end_reason in ('', 'revoked', 'expired', 'model_changed'));
alter table candidate add column alarm_id bigint references alarm;
create index on candidate (entry_id) where state in ('open', 'unsure');
create index on register_entry (expires_at) where state in ('proposed', 'active');

-- Gates that may check faces at this moment (R11): switched on, another way in named, and an assessment under a year old
-- that names this threshold. Nothing else decides; workers get what this view says, and check it again themselves.
create view valid_gate as
select g.camera_id, c.code as camera, c.worker, c.school_id, g.threshold, g.zone, a.number as assessment, a.model_sha256,
       a.approved_on + interval '1 year' as valid_until, c.demo
from gate_check g
join camera c using (camera_id)
join impact_assessment a using (assessment_id)
where g.is_enabled and c.is_gate_check and c.worker <> '' and g.other_way_in <> '' and a.threshold = g.threshold and a.purpose = 'public_safety'
  and a.approved_on <= current_date and a.approved_on + interval '1 year' > now() and (a.demo = c.demo or not a.demo);

grant select, insert, update, delete on candidate_key to app;
grant select on valid_gate to app;

-- The worker's register is made anew when it changes.
create trigger wake_ingest after insert or update or delete on register_entry for each statement execute function wake_ingest('campus_desired');
