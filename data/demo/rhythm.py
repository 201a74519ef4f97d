"""The rhythm of the demo city's past: days, school days, how well each district did, week by week."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo

import numpy as np

DAYS = 91  # thirteen weeks, the last of them ends yesterday
DETAIL_DAYS = 28  # of these, shifts and patrols are kept one by one
TRACK_DAYS = 2  # of these, positions
SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
HOUR_US = 60 * MINUTE_US
# How well a district's duty was done at the start (0 to 1) and how much it gained in the thirteen weeks
_DISTRICTS = {
    "440303": (0.90, 0.02),
    "440304": (0.95, 0.01),
    "440305": (0.94, 0.02),
    "440306": (0.84, 0.07),
    "440307": (0.86, 0.03),
    "440308": (0.92, -0.01),
    "440309": (0.88, 0.00),
    "440310": (0.80, 0.09),
    "440311": (0.90, -0.05),
    "SZDP": (0.86, -0.02),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """The calendar of the history, and how it went.

    Attributes:
        days: (DAYS,) days since 1970; midnight_us: local midnights, microseconds since 1970, UTC.
        is_school_day: (DAYS,) Monday to Friday; weekday: 0 is Monday.
        care: (schools, DAYS) how well duty was done, 0 to 1: by district, school, week and weekday.
        district: (schools,) index into `codes`.
    """

    days: np.ndarray
    midnight_us: np.ndarray
    weekday: np.ndarray
    is_school_day: np.ndarray
    care: np.ndarray
    district: np.ndarray
    codes: tuple[str, ...]

    @property
    def schools(self) -> int:
        return len(self.district)

    @property
    def detail(self) -> slice:
        """The days whose shifts and patrols are kept."""
        return slice(DAYS - DETAIL_DAYS, DAYS)


def past(seed: int, today: date, tz: tzinfo, codes: tuple[str, ...], district: np.ndarray) -> Past:
    """The thirteen weeks before `today`."""
    rng = np.random.default_rng([seed, 20])
    dates = [today - timedelta(days=back) for back in range(DAYS, 0, -1)]
    midnight = [int(datetime.combine(day, time(), tz).timestamp()) * SECOND_US for day in dates]
    weekday = np.array([day.weekday() for day in dates])
    base, gain = np.array([_DISTRICTS[code] for code in codes])[district].T
    of_school = rng.normal(0, 0.045, len(district))
    of_day = np.array([-0.015, 0.01, 0.01, 0.005, -0.02, -0.06, -0.07])[weekday] + rng.normal(0, 0.008, DAYS)
    care = base[:, None] + gain[:, None] * np.linspace(0, 1, DAYS)[None, :] + of_school[:, None] + of_day[None, :]
    return Past(
        days=np.array([(day - date(1970, 1, 1)).days for day in dates]),
        midnight_us=np.array(midnight),
        weekday=weekday,
        is_school_day=weekday < 5,
        care=np.clip(care, 0.35, 0.995),
        district=district,
        codes=codes,
    )


def stamps(us: np.ndarray) -> list[str]:
    """Times as text for a COPY in text form."""
    return [f"{text}Z" for text in np.datetime_as_string(us.astype("datetime64[us]")).tolist()]
