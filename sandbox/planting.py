"""Plants the defects of a day: in the typed values, or as patches on the text of a field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sandbox import sorts
from sandbox.figures import SOURCES, Planned, shares
from sandbox.roles import (
    COMBINATIONS,
    EXTRA_KINDS,
    FAILURE_WEIGHTS,
    Cast,
    Ledger,
    Role,
    cast_roles,
)
from sandbox.sorts import Sort
from sandbox.values import EVENT_TYPES, Ints, Values, outlier_amounts

_STREAM_PLANTING = 4
_NOISE_SHARE = 0.012
_REQUIRED = ("user_id", "event_type", "event_time", "amount")
_OPTIONAL = ("currency", "country", "device", "quantity")
_UNPARSABLE_FIELD = {
    "user_id_unparsable": "user_id",
    "occurred_at_unparsable": "event_time",
    "amount_unparsable": "amount",
    "quantity_unparsable": "quantity",
}


@dataclass(frozen=True, slots=True)
class Patch:
    """Records whose field is written by a sort; `rows` are global and ascending."""

    field: str
    sort: Sort
    rows: Ints


class Planter:
    """Plants the figures of a day into clean values; what it planted stands in its ledger."""

    def __init__(self, day: int, values: Values, planned: Mapping[str, Planned]) -> None:
        """Prepare to change `values` in place; `day` (an ordinal) is the seed."""
        self.values = values
        self.ledger = Ledger([planned[name].collected for name in SOURCES])
        self.patches: dict[str, list[Patch]] = {name: [] for name in SOURCES}
        self._day = day
        self._planned = planned

    def plant(self, extra: Mapping[str, int]) -> None:
        """Plant every figure, and `extra` defects by kind in the S3 source."""
        casts: dict[str, Cast] = {}
        rngs = {name: np.random.default_rng([self._day, _STREAM_PLANTING, at]) for at, name in enumerate(SOURCES)}
        for at, name in enumerate(SOURCES):
            wanted = extra if name == "s3" else {}
            casts[name] = cast_roles(self._planned[name], self.ledger.offsets[at], wanted, rngs[name])
        for name, cast in casts.items():
            self._untidy(name, cast, rngs[name])
            self._fail(name, cast.failed)
            self._miss(name, cast.incomplete, _REQUIRED, Role.INCOMPLETE)
            self._miss(name, cast.defaulted, _OPTIONAL, Role.DEFAULTED)
            self._flip_signs(cast.signs)
            self._lose_points(cast.minor_units)
            self._exceed(cast.beyond, rngs[name])
            self._stand_out(cast.outliers, rngs[name])
            self._repeat(name, cast.duplicates, casts, rngs[name])
        self._plant_extra(casts["s3"], np.random.default_rng([self._day, _STREAM_PLANTING, 99]))

    def _plant_extra(self, cast: Cast, rng: np.random.Generator) -> None:
        none = np.empty(0, dtype=np.int64)
        rows = {kind: cast.extra.get(kind, none) for kind in EXTRA_KINDS}
        self._flip_signs(rows["signs"])
        self._lose_points(rows["minor_unit"])
        self._exceed(rows["out_of_range"], rng)
        self._miss("s3", rows["missing"], _REQUIRED, Role.INCOMPLETE)
        for at, (reason, field) in enumerate(_UNPARSABLE_FIELD.items()):
            self._unparsable("s3", rows["broken"][at :: len(_UNPARSABLE_FIELD)], reason, field)
        self._orphan("s3", rows["orphans"])
        self._copy("s3", rows["duplicates"], _cycle(cast.winners, len(rows["duplicates"])))

    def _patch(self, source: str, field: str, choice: Sequence[Sort], rows: Ints) -> None:
        for at, sort in enumerate(choice):
            part = rows[at :: len(choice)]
            if len(part):
                self.patches[source].append(Patch(field, sort, np.sort(part)))

    def _untidy(self, source: str, cast: Cast, rng: np.random.Generator) -> None:
        rows = np.concatenate([cast.outliers, cast.clean])
        n_drawn = len(rows) + sum(len(taken) for taken in cast.extra.values())
        for field, choice in sorts.NOISE.items():
            # drawn for the extra defects too, so that the others do not depend on them
            chosen = rng.random(n_drawn)[: len(rows)] < _NOISE_SHARE
            self._patch(source, field, choice, rows[chosen])

    def _fail(self, source: str, rows: Ints) -> None:
        counts = shares(len(rows), FAILURE_WEIGHTS[source])
        parts = np.split(rows, np.cumsum(list(counts.values()))[:-1])
        for reason, part in zip(counts, parts, strict=True):
            if reason == "several":
                for at, reasons in enumerate(COMBINATIONS):
                    for each in reasons:
                        self._fail_for(source, part[at :: len(COMBINATIONS)], each)
            else:
                self._fail_for(source, part, reason)

    def _fail_for(self, source: str, rows: Ints, reason: str) -> None:
        if reason in _UNPARSABLE_FIELD:
            self._unparsable(source, rows, reason, _UNPARSABLE_FIELD[reason])
        elif reason == "orphan_user":
            self._orphan(source, rows)
        else:
            field, choice = {
                "event_id_missing": ("event_id", sorts.MISSING),
                "payload_not_json": ("payload", sorts.BROKEN_PAYLOADS),
                "event_type_unknown": ("event_type", sorts.UNKNOWN_TYPES),
            }[reason]
            self._patch(source, field, choice, rows)
            self.ledger.fail(rows, reason)

    def _unparsable(self, source: str, rows: Ints, reason: str, field: str) -> None:
        choice = sorts.UNPARSABLE[field]
        if source != "s3":
            choice += sorts.JSON_UNPARSABLE[field]
        if source == "postgres":
            choice += sorts.NESTED_UNPARSABLE.get(field, ())
        self._patch(source, field, choice, rows)
        self.ledger.fail(rows, reason)

    def _orphan(self, source: str, rows: Ints) -> None:
        self._patch(source, "user_id", sorts.ORPHANS, rows)
        self.ledger.fail(rows, "orphan_user")

    def _miss(self, source: str, rows: Ints, fields: Sequence[str], role: Role) -> None:
        self.ledger.role[rows] = role
        # every tenth record misses a second field
        for at, field in enumerate(fields):
            first = rows[at :: len(fields)]
            second = rows[(at + 1) % len(fields) :: len(fields)][::10]
            self._patch(source, field, sorts.MISSING, np.concatenate([first, second]))

    def _flip_signs(self, rows: Ints) -> None:
        self.ledger.role[rows] = Role.SIGN
        self.values.amount[rows] *= -1

    def _lose_points(self, rows: Ints) -> None:
        self.ledger.role[rows] = Role.MINOR_UNIT
        mean = np.array([t.mean for t in EVENT_TYPES])[self.values.kind[rows]]
        amount = self.values.amount[rows]
        # only the half that is farther from zero than usual leaves its range when read as cents
        nearer = np.abs(amount) < np.abs(mean)
        self.values.amount[rows] = np.where(nearer, 2 * mean - amount, amount)
        self.values.whole[rows] = True

    def _exceed(self, rows: Ints, rng: np.random.Generator) -> None:
        self.ledger.role[rows] = Role.BEYOND
        kind = self.values.kind[rows]
        sign = np.array([t.sign for t in EVENT_TYPES])[kind]
        near = np.array([t.nearest for t in EVENT_TYPES])[kind]
        far = np.array([t.farthest for t in EVENT_TYPES])[kind]
        # never a multiple of 100 cents, so that both decimals are evidence
        cents = (far * rng.uniform(1.5, 40.0, len(rows))).astype(np.int64) // 100 * 100 + 37
        zero = np.zeros(len(rows), dtype=np.int64)
        too_near = np.where(near > 1, (near * rng.uniform(0.1, 0.9, len(rows))).astype(int), 0)
        sort = np.arange(len(rows)) % 8
        self.values.amount[rows] = np.choose(
            sort,
            (
                sign * cents,
                zero,
                sign * cents * 10,
                zero,
                sign * too_near,
                -sign * cents,
                sign * np.int64(10_000_000_000_000),
                sign * cents * 100,
            ),
        )
        self.values.whole[rows] = (sort == 3) | (sort == 7)

    def _stand_out(self, rows: Ints, rng: np.random.Generator) -> None:
        self.ledger.role[rows] = Role.OUTLIER
        counts = shares(len(rows), {str(at): t.weight for at, t in enumerate(EVENT_TYPES)})
        kind = np.repeat(np.arange(len(EVENT_TYPES), dtype=np.uint8), list(counts.values()))
        self.values.kind[rows] = kind
        self.values.amount[rows] = outlier_amounts(kind, rng)

    def _repeat(self, source: str, rows: Ints, casts: Mapping[str, Cast], rng: np.random.Generator) -> None:
        planned = self._planned[source].duplicates
        parts = np.split(rows, np.cumsum(list(planned.values()))[:-1])
        for (winner, count), part in zip(planned.items(), parts, strict=True):
            winners = casts[winner].winners
            # their own order is random; each source starts elsewhere in it
            start = int(rng.integers(0, len(winners)))
            # one in twenty repeats a record that has been repeated already
            once = count - count // 20
            self._copy(source, part, _cycle(np.roll(winners, -start)[:once], count))

    def _copy(self, source: str, rows: Ints, winners: Ints) -> None:
        """Make `rows` repeat `winners`, some exactly and some with a small difference."""
        values = self.values
        for name in ("event", "user", "kind", "time", "amount", "quantity", "currency", "country"):
            getattr(values, name)[rows] = getattr(values, name)[winners]
        values.device[rows] = values.device[winners]
        values.style[rows[0::5]] = values.style[winners[0::5]]
        self.ledger.role[rows] = Role.DUPLICATE
        self.ledger.winner[rows] = winners
        values.amount[rows[1::5]] += 1
        values.device[rows[2::5]] = (values.device[rows[2::5]] + 1) % 5
        self._patch(source, "event_id", sorts.NOISE["event_id"], rows[3::5])


def _cycle(rows: Ints, count: int) -> Ints:
    return np.resize(rows, count)
