"""The check: what answers, what may be read, whether the day is there."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from loader_helpers import DAY, S3_KEYS, Answer, Bucket, Database, ScriptedApi

from loaders.config import read_sources
from loaders.kinds.postgres import PostgresSource, PostgresTable
from loaders.sources import check_source


def verdicts(checks: object) -> list[tuple[str, bool]]:
    return [(check.name, check.ok) for check in checks]  # type: ignore[attr-defined]


def test_a_sound_configuration_passes_every_check(configured: dict[str, str]):
    for source in read_sources():
        checks = check_source(source, DAY)
        assert all(check.ok for check in checks), checks
        assert {"reach", "day"} <= {check.name for check in checks}


def test_a_day_that_is_not_there_is_told(configured: dict[str, str]):
    for source in read_sources():
        checks = check_source(source, date(2024, 1, 1))
        assert ("reach", True) in verdicts(checks)
        assert ("day", False) in verdicts(checks)


def test_s3_names_what_is_wrong(bucket: Bucket):
    (check,) = check_source(bucket.source(bucket_url="s3://no-such-bucket"), DAY)
    assert (check.name, check.ok) == ("list", False)
    assert "no such bucket" in check.detail
    credentials = {**S3_KEYS, "endpoint_url": "http://127.0.0.1:9"}
    (check,) = check_source(bucket.source(credentials=credentials), DAY)
    assert (check.name, check.ok) == ("reach", False)
    assert "Connection refused" in check.detail


def test_postgres_names_the_missing_right(configured: dict[str, str]):
    (source,) = read_sources(["postgres"])
    assert isinstance(source, PostgresSource)
    secret = PostgresTable("pg_authid", "pg_authid", "pg_catalog", None, False, ())
    checks = check_source(replace(source, tables=(secret, *source.tables)), DAY)
    (denied,) = [check for check in checks if not check.ok]
    assert (denied.name, denied.missing_right) == (
        "read",
        "SELECT on pg_catalog.pg_authid (and USAGE on schema pg_catalog)",
    )
    # the others are still looked at
    assert verdicts(checks).count(("read", True)) == 2


def test_postgres_that_cannot_be_reached_is_one_check(database: Database):
    source = database.source(database.table("t"), credentials=database.credentials(password="wrong-canary"))
    (check,) = check_source(source, DAY)
    assert (check.name, check.ok) == ("reach", False)
    assert "wrong-canary" not in check.detail


def test_the_api_and_its_fallback_are_both_asked(api: ScriptedApi):
    api.script = lambda path, number: Answer(status=401)
    with ScriptedApi() as fallback:
        fallback.pages([1])
        checks = check_source(api.source(fallback_url=fallback.url), DAY)
    assert verdicts(checks) == [("reach", False), ("fallback", True)]
    assert checks[0].missing_right == "a valid credential"
    assert "HTTP 401" in checks[0].detail
