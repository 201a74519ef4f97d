"""Who may do what, and where. The one list of permissions and roles; the one Scope.

A permission is a name `<thing>.<act>`. A route, page, layer, tile, stream or callback states the
one it requires; `mapapp.guard` is the only place that checks it. Scope says for which part of the
city: it becomes transaction settings in `data.core.db.scoped`, and `covers` for the live stream.
"""

from __future__ import annotations

from dataclasses import dataclass, field

PUBLIC = "public"  # said, never implied

PERMISSIONS = frozenset(
    {
        "wall.view",
        "place.view",
        "place.import",
        "alarm.view",
        "alarm.acknowledge",
        "alarm.close",
        "device.view",
        "device.command",
        "device.report",
        "camera.view",
        "camera.live",
        "unit.view",
        "unit.report",
        "hazard.view",
        "duty.view",
        "patrol.view",
        "position.report",
        "sos.raise",
        "score.view",
        "candidate.view",
        "candidate.answer",
        "register.view",
        "register.sponsor",
        "register.approve",
        "gate.configure",
        "deadletter.view",
        "deadletter.replay",
        "audit.view",
        "account.manage",
        "status.view",
        "profile.view",
    }
)

_SEE = {
    "wall.view",
    "place.view",
    "alarm.view",
    "device.view",
    "camera.view",
    "unit.view",
    "hazard.view",
    "duty.view",
    "patrol.view",
    "status.view",
    "profile.view",
}
_ACT = {"alarm.acknowledge", "alarm.close", "device.command", "camera.live"}
_PHONE = {"position.report", "sos.raise", "profile.view"}

ROLES: dict[str, frozenset[str]] = {
    "commander": frozenset(_SEE | _ACT | {"candidate.view", "candidate.answer", "score.view"}),
    "dispatcher": frozenset(_SEE | _ACT | {"candidate.view", "candidate.answer"}),
    "supervisor": frozenset(_SEE | _ACT | {"candidate.view", "candidate.answer", "score.view", "audit.view", "deadletter.view"}),
    "unit": frozenset({"alarm.view", "place.view", "unit.view", "unit.report"} | _PHONE),
    "grid-owner": frozenset(
        {"wall.view", "place.view", "hazard.view", "camera.view", "patrol.view", "duty.view", "alarm.view", "status.view"} | _PHONE
    ),
    "district-leader": frozenset(_SEE | {"score.view"}),
    "school": frozenset(_SEE | {"camera.live", "sos.raise", "position.report", "alarm.acknowledge"}),
    "guard": frozenset({"place.view", "alarm.view", "duty.view", "patrol.view", "hazard.view"} | _PHONE),
    "officer": frozenset(_SEE | _PHONE | {"camera.live", "score.view"}),
    "assessor": frozenset(
        {
            "wall.view",
            "place.view",
            "hazard.view",
            "patrol.view",
            "duty.view",
            "camera.view",
            "device.view",
            "score.view",
            "status.view",
            "profile.view",
        }
    ),
    "registrar": frozenset({"place.view", "register.view", "register.sponsor", "candidate.view", "profile.view"}),
    "approver": frozenset({"place.view", "register.view", "register.approve", "gate.configure", "profile.view"}),
    "auditor": frozenset({"audit.view", "deadletter.view", "status.view", "profile.view"}),
    "admin": frozenset(_SEE | {"account.manage", "deadletter.view", "deadletter.replay", "place.import", "audit.view"}),
    "recorder": frozenset({"device.report"}),  # a machine account: NVRs and platforms that report camera state
}


class Refused(PermissionError):
    """The permission is missing. The answer is the same as for something that is not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What part of the city somebody sees. Empty is nothing, never everything."""

    is_city: bool = False
    districts: frozenset[str] = frozenset()
    streets: frozenset[str] = frozenset()
    schools: frozenset[int] = frozenset()
    cells: frozenset[int] = frozenset()

    def covers(self, *, district_code: str | None, street_code: str | None, school_id: int | None) -> bool:
        """Whether a row stamped with these belongs to the scope. All None is a city-wide row: everyone has it."""
        if self.is_city or (district_code is None and street_code is None and school_id is None):
            return True
        return district_code in self.districts or street_code in self.streets or school_id in self.schools


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Somebody who is logged in: permissions and scope, fixed for the request."""

    account_id: int
    login: str
    name_zh: str
    name_en: str
    role: str
    scope: Scope
    permissions: frozenset[str] = field(default_factory=frozenset)
    lang: str = "zh"
    demo: bool = False

    def may(self, permission: str) -> bool:
        return permission == PUBLIC or permission in self.permissions

    def require(self, permission: str) -> None:
        """Raises: Refused."""
        if not self.may(permission):
            raise Refused(permission)
