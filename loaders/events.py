"""JSON lines on stdout: what the supervisor sees of a load while it runs."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any, TextIO

from loaders.redact import redact


class Events:
    """Writes one redacted JSON object a line, from any thread, flushed at once.

    Args:
        stream: Where the lines go; nothing else may write to it.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._closed: set[str] = set()

    def emit(self, event: str, **fields: Any) -> None:
        """Write one event; a source that has finished says nothing more."""
        source = fields.get("source")
        line = json.dumps(_redacted({"event": event, **fields}), ensure_ascii=False, default=str)
        with self._lock:
            if source in self._closed:
                return
            if event == "source_finished":
                self._closed.add(str(source))
            self._stream.write(line + "\n")
            self._stream.flush()


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {key: _redacted(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted(item) for item in value]
    return value
