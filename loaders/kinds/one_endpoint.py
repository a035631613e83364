"""What most kinds have in common."""

from __future__ import annotations

from typing import Any


class OneEndpoint:
    """What a source does that has a single address and no reference tables; see `loaders.sources.Source`."""

    def fallback(self) -> Any:
        """There is no other address."""
        return None

    def references(self) -> Any:
        """There are no reference tables."""
        return None

    def reference_tables(self) -> tuple[str, ...]:
        """There are none."""
        return ()
