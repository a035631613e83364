"""What can go wrong in a load, and whether trying again can help."""

from __future__ import annotations


class ConfigurationError(Exception):
    """Raised when the configuration can't be used; the text names the thing and the next step."""


class SourceError(Exception):
    """Raised when a source can't deliver its day.

    Args:
        text: For people, in a few words; names the thing and the value.
        detail: What the driver said, for the log and the event of the failed try.
        code: Short label such as `Timeout`, `Connection refused` or `HTTP 503`.
        transient: Whether a later try can succeed.
        retry_after_s: Seconds the source asked to wait before the next try, if it said so.
        no_data: Whether the source answered and simply has nothing for the day.
    """

    def __init__(
        self,
        text: str,
        *,
        code: str,
        transient: bool,
        retry_after_s: float | None = None,
        detail: str = "",
        no_data: bool = False,
    ) -> None:
        super().__init__(text)
        self.text = text
        self.code = code
        self.transient = transient
        self.retry_after_s = retry_after_s
        self.detail = detail or text
        self.no_data = no_data
        self.tried = False
        """Whether all tries that it was worth are spent."""


class WarehouseError(SourceError):
    """Raised when the warehouse refuses a load or holds other rows than were collected."""


def no_data_error(text: str) -> SourceError:
    """Return the error for a source that answers but holds nothing for the day."""
    return SourceError(text, code="no data", transient=False, no_data=True)
