"""Files written whole or not at all."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Yield a path beside the file to write to; at the end of the block it takes the file's place, on an error it goes.

    What a killed process leaves is overwritten by the next one. The folder is made.

    Raises:
        OSError: The file can't be written; what was there is there still.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        partial.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise


def write_file(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all, text as UTF-8 with its line ends as they are."""
    with replaced(path) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file whole or not at all."""
    write_file(path, json.dumps(content, indent=2, ensure_ascii=False, default=str) + "\n")
