"""What the environment and secrets.toml hold under names of secrets is never said, wherever a text goes out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from loaders import redact as loaders_redact
from supervisor.common.secrecy import read_secrets, redact, register_known_secrets
from supervisor.common.text import plain_text

SECRETS = """
[sources.lake.credentials]
aws_access_key_id = "canary-key-id"
region_name = "eu-canary-1"

[sources.shop.credentials]
password = "canary-in-toml"
host = "db-canary.example"

[alerts]
urls = "https://hooks.example/services/canary-path json://bot:canary-userinfo@hooks.example"
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working directory with secrets; what is registered is forgotten afterwards."""
    (tmp_path / ".dlt").mkdir()
    (tmp_path / ".dlt" / "secrets.toml").write_text(SECRETS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(loaders_redact, "_secrets", {})
    return tmp_path


def said(text: str) -> str:
    assert redact(text) == plain_text(text), "a screen shows what a log does not"
    return redact(text)


def test_secrets_of_the_file_are_hidden_and_places_are_not() -> None:
    register_known_secrets()
    assert said("at db-canary.example with canary-in-toml and canary-key-id in eu-canary-1") == (
        "at db-canary.example with *** and *** in eu-canary-1"
    )
    assert said("posted to canary-path as canary-userinfo") == "posted to *** as ***"


def test_secrets_of_the_environment_are_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTGRES_PASSWORD", "canary-in-env")
    monkeypatch.setenv("POSTGRES_HOST", "canary-host")
    register_known_secrets(["canary-given"])
    assert said("canary-in-env at canary-host, canary-given") == "*** at canary-host, ***"


def test_a_word_that_everybody_uses_as_a_password_defaces_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTGRES_PASSWORD", "goalkeeper")
    register_known_secrets()
    assert said("schema raw_goalkeeper of goalkeeper") == "schema raw_goalkeeper of goalkeeper"


@pytest.mark.parametrize("content", ["", "not = [toml", None])
def test_secrets_that_can_not_be_read_are_none(folder: Path, content: str | None) -> None:
    path = folder / ".dlt" / "secrets.toml"
    path.unlink() if content is None else path.write_text(content)
    assert "sources" not in read_secrets()
    register_known_secrets()


@pytest.mark.parametrize("text", ["postgresql://loader:hunter2@db/shop", "api_key: hunter2", "Bearer hunter2hunter2"])
def test_what_stands_where_secrets_stand_is_hidden_on_the_screen_as_in_the_log(text: str) -> None:
    assert "hunter2" not in said(text)
