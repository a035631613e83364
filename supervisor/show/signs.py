"""The signs of the transcript, in colour or in ASCII."""

from __future__ import annotations

import re

from rich.text import Text

from supervisor.common.text import encodable

MARKS = {"ok": "✓", "warning": "⚠", "failed": "✗"}
_SPINNER, _ASCII_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", "|/-\\"
# the name of a group is the colour
_COLOURS = re.compile(
    rf"(?P<green>✓|\[ok\])|(?P<red>✗|\[x\])|(?P<yellow>⚠|\[!\])|(?P<cyan>[{_SPINNER}](?: \d.*)?$|\[In Progress\])"
)


def can_draw(encoding: str) -> bool:
    """Whether a stream with this encoding shows our signs and lines; what it can't show becomes ASCII."""
    return encodable("✓", encoding) == "✓"


def spinner(now: float, encoding: str) -> str:
    """Return the sign of what is under way, eight of them a second."""
    frames = _SPINNER if can_draw(encoding) else _ASCII_SPINNER
    return frames[int(now * 8) % len(frames)]


def sign_text(text: str, encoding: str, style: str = "") -> Text:
    """Return a text that this encoding can show, its signs in colour; data in it is never read as markup."""
    shown = Text(encodable(text, encoding), style)
    shown.highlight_regex(_COLOURS)
    return shown
