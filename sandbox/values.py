"""The typed values of a day's records, before any of them is written as text."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Bits = npt.NDArray[np.uint64]
Mask = npt.NDArray[np.bool_]

DAY_US = 86_400_000_000
_LATE_SHARE = 0.002
_LATE_US = 6 * 3_600_000_000
_STREAM_VALUES = 2
_STREAM_USERS = 3
_FIRST_USER_ID = 100_003
_USER_ID_STEP = 7

CURRENCIES = ("USD", "EUR", "GBP", "CHF", "PLN", "SEK")
COUNTRIES = ("US", "DE", "GB", "FR", "PL", "SE", "CH", "NL", "ES", "IT", "CA", "BR")
DEVICES = ("mobile", "desktop", "tablet", "tv", "kiosk")


@dataclass(frozen=True, slots=True)
class EventType:
    """An event type with its range and the amounts that are usual for it, in cents.

    Usual amounts lie within 2.45 `spread` of `mean`, outliers 15 to 17 beyond it: with the shares
    that are planted that is more than 6 standard deviations, the outliers themselves included.
    """

    name: str
    low: int
    high: int
    mean: int
    spread: int
    weight: float
    outliers_below: bool = False

    @property
    def sign(self) -> int:
        """The sign that every amount of this type must have."""
        return 1 if self.low > 0 else -1

    @property
    def nearest(self) -> int:
        """The smallest allowed distance from zero."""
        return min(abs(self.low), abs(self.high))

    @property
    def farthest(self) -> int:
        """The largest allowed distance from zero."""
        return max(abs(self.low), abs(self.high))


EVENT_TYPES = (
    EventType("purchase", 50, 500_000, 6_000, 2_000, 0.46),
    EventType("subscription", 100, 50_000, 2_000, 600, 0.14),
    EventType("deposit", 500, 2_000_000, 130_000, 7_000, 0.12, outliers_below=True),
    EventType("refund", -500_000, -50, -6_000, 1_800, 0.10),
    EventType("withdrawal", -2_000_000, -500, -130_000, 7_000, 0.10, outliers_below=True),
    EventType("fee", -25_000, -1, -300, 100, 0.08),
)


@dataclass(frozen=True, slots=True)
class Values:
    """One entry per record; arrays of one length.

    Attributes:
        event: Unique 64 bit number that the event id is written from.
        user: Index into the users table.
        kind: Index into `EVENT_TYPES`.
        time: Microseconds since the start of the day in UTC; negative for late records.
        amount: Amount in cents.
        whole: Whether the amount is written without a decimal point (as cents).
        quantity: Number of items.
        currency: Index into `CURRENCIES`.
        country: Index into `COUNTRIES`.
        device: Index into `DEVICES`.
        style: 64 random bits that choose how the record is written.
    """

    event: Bits
    user: Ints
    kind: npt.NDArray[np.uint8]
    time: Ints
    amount: Ints
    whole: Mask
    quantity: npt.NDArray[np.uint8]
    currency: npt.NDArray[np.uint8]
    country: npt.NDArray[np.uint8]
    device: npt.NDArray[np.uint8]
    style: Bits

    def part(self, rows: slice) -> Values:
        """Return the records in `rows`, without copying."""
        return replace(self, **{name: getattr(self, name)[rows] for name in self.__slots__})


def draw_values(date: dt.date, counts: list[int], n_users: int) -> Values:
    """Draw clean, usual records for all sources, one source after the other.

    Args:
        date: The day, which is also the seed.
        counts: Records per source.
        n_users: Size of the users table.
    """
    n = sum(counts)
    rng = np.random.default_rng([date.toordinal(), _STREAM_VALUES])
    number = np.arange(n, dtype=np.uint64) + np.uint64(date.toordinal() << 36)
    kind = np.searchsorted(np.cumsum([t.weight for t in EVENT_TYPES])[:-1], rng.random(n), side="right").astype(
        np.uint8
    )
    time = rng.integers(0, DAY_US, n)
    start = 0
    for count in counts:
        time[start : start + count].sort()
        start += count
    late = rng.random(n) < _LATE_SHARE
    time[late] = -rng.integers(1, _LATE_US, int(late.sum()))
    return Values(
        event=mix(number),
        user=(rng.random(n) ** 2 * n_users).astype(np.int64),
        kind=kind,
        time=time,
        amount=usual_amounts(kind, rng),
        whole=np.zeros(n, dtype=np.bool_),
        quantity=rng.integers(1, 6, n, dtype=np.uint8),
        currency=_skewed(rng, n, len(CURRENCIES)),
        country=_skewed(rng, n, len(COUNTRIES)),
        device=_skewed(rng, n, len(DEVICES)),
        style=mix(number ^ np.uint64(0x5A5A << 48)),
    )


def usual_amounts(kind: npt.NDArray[np.uint8], rng: np.random.Generator) -> Ints:
    """Draw amounts in cents that are usual for their event type (triangular, so bounded)."""
    mean = np.array([t.mean for t in EVENT_TYPES], dtype=np.float64)
    spread = np.array([t.spread for t in EVENT_TYPES], dtype=np.float64)
    unit = (rng.random(len(kind)) + rng.random(len(kind)) - 1.0) * 6**0.5
    return np.rint(mean[kind] + spread[kind] * unit).astype(np.int64)


def outlier_amounts(kind: npt.NDArray[np.uint8], rng: np.random.Generator) -> Ints:
    """Draw amounts in cents that are allowed for their event type and far from its usual ones."""
    mean = np.array([t.mean for t in EVENT_TYPES], dtype=np.float64)
    step = np.array([t.spread * t.sign for t in EVENT_TYPES], dtype=np.float64)
    below = np.array([t.outliers_below for t in EVENT_TYPES])[kind] & (rng.random(len(kind)) < 0.5)
    distance = rng.uniform(15.0, 17.0, len(kind)) * np.where(below, -1.0, 1.0)
    return np.rint(mean[kind] + step[kind] * distance).astype(np.int64)


def user_ids(n_users: int) -> Ints:
    """Return the ids of the users table; the numbers between two of them belong to nobody."""
    return np.arange(n_users, dtype=np.int64) * _USER_ID_STEP + _FIRST_USER_ID


def user_details(date: dt.date, n_users: int) -> tuple[npt.NDArray[np.uint8], Ints]:
    """Return per user the index of the country, and the age of the account in seconds."""
    rng = np.random.default_rng([date.toordinal(), _STREAM_USERS])
    return _skewed(rng, n_users, len(COUNTRIES)), rng.integers(86_400, 94_608_000, n_users)


def mix(number: Bits) -> Bits:
    """Scramble 64 bit numbers one to one (the finalizer of SplitMix64, Steele et al. 2014)."""
    z = number + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _skewed(rng: np.random.Generator, n: int, n_values: int) -> npt.NDArray[np.uint8]:
    return (rng.random(n) ** 2.5 * n_values).astype(np.uint8)
