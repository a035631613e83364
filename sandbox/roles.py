"""Which record plays which part: failed, incomplete, out of range, duplicate, outlier or clean."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from sandbox.figures import SOURCES, Expected, Figures, Planned
from sandbox.values import Ints, Mask

EXTRA_KINDS: Mapping[str, str] = {
    "signs": "amounts with the wrong sign, which a rule can correct",
    "minor_unit": "amounts in cents without a decimal point, which a rule can correct",
    "out_of_range": "amounts out of range that no rule can correct",
    "missing": "records without a required field",
    "broken": "records that can't be parsed",
    "orphans": "records of users that don't exist",
    "duplicates": "records that are sent a second time",
}

REASONS = (
    "event_id_missing",
    "payload_not_json",
    "user_id_unparsable",
    "occurred_at_unparsable",
    "amount_unparsable",
    "quantity_unparsable",
    "event_type_unknown",
    "orphan_user",
)

_FAILURES = {
    "event_id_missing": 8.0,
    "user_id_unparsable": 16.0,
    "occurred_at_unparsable": 20.0,
    "amount_unparsable": 18.0,
    "quantity_unparsable": 8.0,
    "event_type_unknown": 12.0,
    "orphan_user": 12.0,
    "several": 6.0,
}
FAILURE_WEIGHTS: Mapping[str, Mapping[str, float]] = {
    "s3": _FAILURES,
    "postgres": {**_FAILURES, "payload_not_json": 24.0},
    "api": _FAILURES,
}
COMBINATIONS = (
    ("user_id_unparsable", "amount_unparsable"),
    ("occurred_at_unparsable", "quantity_unparsable"),
    ("event_type_unknown", "amount_unparsable"),
    ("event_id_missing", "occurred_at_unparsable"),
    ("orphan_user", "event_type_unknown"),
    ("user_id_unparsable", "occurred_at_unparsable", "amount_unparsable", "quantity_unparsable"),
)


class Role(IntEnum):
    """The one part that a record plays."""

    CLEAN = 0
    FAILED = 1
    INCOMPLETE = 2
    DEFAULTED = 3
    SIGN = 4
    MINOR_UNIT = 5
    BEYOND = 6
    DUPLICATE = 7
    OUTLIER = 8


@dataclass(frozen=True, slots=True)
class Cast:
    """Global row numbers of one source's records by the part they play, each in random order.

    `winners` are those clean records that duplicates may repeat; extra defects never take them.
    """

    failed: Ints
    incomplete: Ints
    defaulted: Ints
    signs: Ints
    minor_units: Ints
    beyond: Ints
    duplicates: Ints
    outliers: Ints
    clean: Ints
    winners: Ints
    extra: Mapping[str, Ints]


def cast_roles(planned: Planned, start: int, extra: Mapping[str, int], rng: np.random.Generator) -> Cast:
    """Give every record of a source its part.

    Extra defects take clean records from the end, so that the others stay as they are without them.

    Raises:
        ValueError: When there are fewer clean records than extra defects.
    """
    rows = rng.permutation(planned.collected) + start
    signs = (planned.corrected + 1) // 2
    sizes = (
        planned.quarantined,
        planned.missing_required,
        planned.defaults_applied,
        signs,
        planned.corrected - signs,
        planned.flagged,
        sum(planned.duplicates.values()),
        planned.anomalies,
    )
    bounds = np.cumsum(sizes)
    if bounds[-1] >= planned.collected:
        raise ValueError(f"{planned.collected} records can't hold {bounds[-1]} planted ones")
    *parts, clean = np.split(rows, bounds)
    wanted, half = sum(extra.values()), len(clean) // 2
    if wanted > half:
        raise ValueError(f"{wanted} extra defects: at most {half} fit into this day")
    taken: dict[str, Ints] = {}
    end = len(clean)
    for kind, count in extra.items():
        taken[kind] = clean[end - count : end]
        end -= count
    failed, incomplete, defaulted, flipped, minor_units, beyond, duplicates, outliers = parts
    return Cast(
        failed=failed,
        incomplete=incomplete,
        defaulted=defaulted,
        signs=flipped,
        minor_units=minor_units,
        beyond=beyond,
        duplicates=duplicates,
        outliers=outliers,
        clean=clean[:end],
        winners=clean[:half],
        extra=taken,
    )


class Ledger:
    """What was planted in which record, and so what a pipeline must find.

    Attributes:
        offsets: First row of each source, and the number of all rows.
        role: The part of each row.
        winner: Of a duplicate the row that it repeats; of any other row the row itself.
        reasons: Bit i is set when the row fails for `REASONS[i]`.
    """

    def __init__(self, counts: Sequence[int]) -> None:
        """Start with clean records only; `counts` gives the records per source."""
        self.offsets: tuple[int, ...] = (0, *(int(n) for n in np.cumsum(counts)))
        self.role = np.zeros(self.offsets[-1], dtype=np.uint8)
        self.winner: Ints = np.arange(self.offsets[-1], dtype=np.int64)
        self.reasons: npt.NDArray[np.uint16] = np.zeros(self.offsets[-1], dtype=np.uint16)

    def fail(self, rows: Ints, reason: str) -> None:
        """Note that `rows` fail for `reason`."""
        self.role[rows] = Role.FAILED
        self.reasons[rows] |= np.uint16(1 << REASONS.index(reason))

    def expected(
        self,
        missing: Collection[str] = (),
        users_known: bool = True,
        lost: Mapping[str, Sequence[slice]] | None = None,
    ) -> Expected:
        """Count what is found when only some sources answer.

        Args:
            missing: Names of the sources that are not there.
            users_known: Whether orphans can be told, that is, whether the users table is there.
            lost: Per source the local rows of unreadable files; each file counts as one rejected
                record.
        """
        present = np.ones(len(self.role), dtype=np.bool_)
        for name in missing:
            present[self._rows(name)] = False
        for name, files in (lost or {}).items():
            for rows in files:
                start = self._rows(name).start
                present[start + rows.start : start + rows.stop] = False
        reasons = self.reasons
        if not users_known:
            reasons = reasons & np.uint16(~(1 << REASONS.index("orphan_user")) & 0xFFFF)
        loses = self._losers(present)
        return Expected(
            {
                name: self._count(name, present, reasons, loses, len((lost or {}).get(name, ())))
                for name in SOURCES
                if name not in missing
            }
        )

    def _rows(self, name: str) -> slice:
        at = SOURCES.index(name)
        return slice(self.offsets[at], self.offsets[at + 1])

    def _losers(self, present: Mask) -> Mask:
        duplicates = np.flatnonzero(self.role == Role.DUPLICATE)
        rows = np.union1d(duplicates, self.winner[duplicates])
        rows = rows[present[rows]]
        # rows are ordered by source, so the first of a group belongs to the source that wins
        _, first = np.unique(self.winner[rows], return_index=True)
        loses = np.zeros(len(present), dtype=np.bool_)
        loses[rows] = True
        loses[rows[first]] = False
        return loses

    def _count(self, name: str, present: Mask, reasons: npt.NDArray[np.uint16], loses: Mask, rejected: int) -> Figures:
        rows = self._rows(name)
        here = present[rows]
        role, why = self.role[rows][here], reasons[rows][here]
        failed = int(np.count_nonzero(why))
        parts = np.bincount(role, minlength=len(Role))
        corrected = int(parts[Role.SIGN] + parts[Role.MINOR_UNIT])
        duplicates = int(np.count_nonzero(loses[rows]))
        collected = len(role) + rejected
        transformed = len(role) - failed
        return Figures(
            collected=collected,
            quarantined=failed + rejected,
            transformed=transformed,
            defaults_applied=int(parts[Role.DEFAULTED]),
            missing_required=int(parts[Role.INCOMPLETE]),
            out_of_range=corrected + int(parts[Role.BEYOND]),
            corrected=corrected,
            flagged=int(parts[Role.BEYOND]),
            duplicates=duplicates,
            anomalies=int(parts[Role.OUTLIER]),
            published=transformed - duplicates,
            reasons={
                reason: count
                for bit, reason in enumerate(REASONS)
                if (count := int(np.count_nonzero(why & np.uint16(1 << bit))))
            },
        )
