"""Sends one alert, read as JSON from standard input: a process, because only so a dead channel can be left behind."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from typing import Any

# what apprise calls the marks of an outcome
_TYPES = {"ok": "success", "warning": "warning", "failed": "failure"}


def deliver(message: dict[str, Any]) -> dict[str, Any]:
    """Send to every address at the same time.

    Returns:
        `{"delivered": count, "failed": [[scheme, why]]}`; an address itself never leaves this process.
    """
    # slow to import, and needed in the rare run that alerts
    import apprise

    logging.getLogger("apprise").setLevel(logging.CRITICAL)
    answers: list[str | None] = ["no answer in time"] * len(message["addresses"])

    def send(number: int, address: str) -> None:
        channel = apprise.Apprise()
        if not channel.add(address):
            answers[number] = "not an address that apprise understands"
        elif channel.notify(title=message["title"], body=message["body"], notify_type=_TYPES[message["mark"]]):
            answers[number] = None
        else:
            answers[number] = "not delivered"

    deadline = time.monotonic() + message["timeout_s"]
    threads = [threading.Thread(target=send, args=job, daemon=True) for job in enumerate(message["addresses"])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    schemes = [address.split("://", 1)[0] for address in message["addresses"]]
    failed = [[scheme, why] for scheme, why in zip(schemes, list(answers), strict=True) if why is not None]
    return {"delivered": len(schemes) - len(failed), "failed": failed}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(deliver(json.load(sys.stdin))))
    sys.stdout.flush()
    # threads that still wait for an answer must not keep the process alive
    os._exit(0)
