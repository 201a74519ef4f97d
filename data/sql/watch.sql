-- name: camera_to_watch
-- One camera of the scope, with the open alarm (or candidate) near it that is the reason to look; a neighbour's camera may see the gate too.
-- scope: visible_school; alarms through visible_alarm
select c.camera_id, c.code, c.school_id, c.state, c.worker,
       (select a.alarm_id from alarm a join visible_alarm using (alarm_id)
        where a.state <> 'closed' and (a.school_id = c.school_id or ST_DWithin(a.geom, c.geom, %(near_deg)s))
        order by a.school_id = c.school_id desc nulls last, a.last_at desc limit 1) as alarm_id,
       (select x.candidate_id from candidate x where x.state = 'open' and x.camera_id = c.camera_id limit 1) as candidate_id
from camera c join visible_school v on v.school_id = c.school_id
where c.camera_id = %(camera_id)s;
