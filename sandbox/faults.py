"""Faults that are switched on from outside with SANDBOX_FAULTS, and their strict grammar."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from sandbox.roles import EXTRA_KINDS

DEFAULT = "api=timeout:1"
"""The golden day's own fault: the first request gets no answer."""


class FaultsError(ValueError):
    """Raised when a list of faults is not understood; the message names what is known."""


class Takes(Enum):
    """Whether a fault takes a number."""

    NOTHING = ""
    OPTIONAL = "[:N]"
    NUMBER = ":N"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault; `count` is None when it lasts."""

    target: str
    kind: str
    count: int | None = None

    @property
    def name(self) -> str:
        """The fault without its number, as in `api=timeout`."""
        return f"{self.target}={self.kind}"


_KNOWN: Mapping[str, tuple[Takes, str]] = {
    "api=down": (Takes.NOTHING, "both endpoints refuse connections"),
    "api=primary-down": (Takes.NOTHING, "the primary endpoint refuses, the fallback answers"),
    "api=timeout": (Takes.NUMBER, "the first N requests get no answer"),
    "api=500": (Takes.NUMBER, "the first N requests get status 500"),
    "api=429": (Takes.NUMBER, "the first N requests get status 429 with Retry-After: 1"),
    "api=reset": (Takes.OPTIONAL, "the connection is reset in the middle of a page"),
    "api=html": (Takes.OPTIONAL, "status 200 with an HTML page"),
    "api=error-object": (Takes.OPTIONAL, 'status 200 with {"error": ...}'),
    "api=short": (Takes.OPTIONAL, "the body ends before its Content-Length"),
    "api=slow": (Takes.OPTIONAL, "the body comes at a byte a second"),
    "api=loop": (Takes.NOTHING, "the next page of the first page is the first page"),
    "api=elsewhere": (Takes.NOTHING, "the next page of the first page is on another host"),
    "api=repeat": (Takes.NOTHING, "the first page is served twice, under another cursor"),
    "api=empty": (Takes.NOTHING, "no records"),
    "s3=down": (Takes.NOTHING, "refuses connections"),
    "s3=500": (Takes.NUMBER, "the first N requests get status 500"),
    "s3=corrupt": (Takes.NUMBER, "N Parquet files lack their footer"),
    "s3=missing": (Takes.NOTHING, "no objects under the day's prefix"),
    "s3=slow": (Takes.NOTHING, "bodies come at 4 KiB a second"),
    "s3=hang": (Takes.NOTHING, "requests get no answer"),
    "postgres=down": (Takes.NOTHING, "refuses connections"),
    "postgres=terminated": (Takes.NUMBER, "the backend is terminated in the first N reads"),
    "postgres=denied": (Takes.NOTHING, "no right to read the day's table"),
    "postgres=missing": (Takes.NOTHING, "the day's table does not exist"),
    "postgres=hang": (Takes.NOTHING, "another session keeps the day's table locked"),
    **{f"data={kind}": (Takes.NUMBER, f"N more {meaning} (S3)") for kind, meaning in EXTRA_KINDS.items()},
}


class Faults:
    """The faults of a run, in the order given."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        """Hold `faults`; those with a number come one after the other, in this order."""
        self._faults = tuple(faults)
        self._left = [fault.count for fault in self._faults]
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[Fault]:
        """Iterate over the faults."""
        return iter(self._faults)

    def has(self, name: str) -> bool:
        """Tell whether a fault such as `api=down` is on."""
        return any(fault.name == name for fault in self._faults)

    def number(self, name: str) -> int:
        """Return a fault's number, 0 when it is not on."""
        return sum(fault.count or 0 for fault in self._faults if fault.name == name)

    def extra_defects(self) -> dict[str, int]:
        """Return the extra defects by kind (`data=`)."""
        return {fault.kind: fault.count or 0 for fault in self._faults if fault.target == "data"}

    def strike(self, target: str, kinds: Collection[str]) -> str | None:
        """Return which of `kinds` the next request to `target` meets, and count it."""
        with self._lock:
            for at, fault in enumerate(self._faults):
                left = self._left[at]
                if fault.target != target or fault.kind not in kinds or left == 0:
                    continue
                if left is not None:
                    self._left[at] = left - 1
                return fault.kind
        return None


def parse_faults(text: str | None) -> Faults:
    """Parse a comma-separated list of faults; unset or empty means the golden day's own.

    Raises:
        FaultsError: When a fault is unknown, given twice, or its number is missing or misplaced.
    """
    words = [word.strip() for word in (text or DEFAULT).split(",")]
    if words == ["none"]:
        return Faults()
    faults = [_parse(word) for word in words]
    for fault in faults:
        if fault.target != "api" and sum(other.name == fault.name for other in faults) > 1:
            raise FaultsError(f"fault {fault.name!r} is given twice")
    return Faults(faults)


def _parse(word: str) -> Fault:
    name, colon, number = word.partition(":")
    if name not in _KNOWN:
        raise FaultsError(f"unknown fault {word!r}\n{known_faults()}")
    takes, _ = _KNOWN[name]
    target, kind = name.split("=", 1)
    if not colon and takes is not Takes.NUMBER:
        return Fault(target, kind)
    if takes is Takes.NOTHING:
        raise FaultsError(f"fault {word!r}: {name!r} takes no number")
    if not number.isascii() or not number.isdigit() or int(number) == 0:
        raise FaultsError(f"fault {word!r}: {name!r} takes a number from 1, as in {name}:2")
    return Fault(target, kind, int(number))


def known_faults() -> str:
    """Return the list of all faults, one line each with its meaning."""
    width = max(len(name + takes.value) for name, (takes, _) in _KNOWN.items())
    lines = [f"  {name + takes.value:<{width}}  {meaning}" for name, (takes, meaning) in _KNOWN.items()]
    none = f"  {'none':<{width}}  no fault at all; unset means {DEFAULT}"
    return "\n".join(["known faults, a comma-separated list of:", none, *lines])
