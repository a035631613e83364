"""A day is built again from its raw records: what was fixed passes, is published once, and its history is kept.

One story in a project of a user's own, with a source of their own: the day escalates, is published by a replay under
another goal, and is replayed again after a missing user and a missing event type have arrived.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import pytest
from end_to_end.helpers import Run, events_csv, orchestrate, rows
from end_to_end.situations import copy_project, edit
from sandbox_clients import s3_client
from supervisor_asks import ask

from sandbox.process import running_sandbox

DAY, NEXT_DAY = "2025-11-16", "2025-11-17"
ORDERS = 40
STAGING = """
{{ feed_records('raw_lake', 'orders', {
    'event_id': 'order_no',
    'user_id': 'customer',
    'event_type': 'kind',
    'occurred_at': 'placed_at',
    'amount': 'total',
}) }}
"""
MODELS = """
version: 2

sources:
  - name: raw_lake
    tables:
      - name: orders

models:
  - name: stg_lake__orders
    description: The lake's orders, with the fields of events as text. One row per order.
"""


@dataclass(frozen=True)
class Story:
    """What came of each step, in the order in which they were taken.

    Attributes:
        next_day: The day after it, which published an event that was sent again; for who asks for it.
    """

    folder: Path
    env: dict[str, str]
    absent_user: int
    escalated: Run
    held_back: str
    first: Run
    next_day: Run | None
    unreadable: Run
    before: dict[str, bytes]
    second: Run


def own_project(folder: Path, env: dict[str, str], user: int) -> None:
    """A project with a source of its own beside the sandbox's: CSV files in a bucket, mapped by a staging model."""
    copy_project(folder)
    client = s3_client(env, read_timeout_s=30)
    client.create_bucket(Bucket="lake")
    lines = [f"A-{number},{user},Purchase,{DAY}T10:00:00Z,{number}.50" for number in range(1, ORDERS + 1)]
    body = "\n".join(["Order No,Customer,Kind,Placed At,Total", *lines]).encode()
    client.put_object(Bucket="lake", Key=f"orders/{DAY}/a.csv", Body=body)
    with (folder / ".dlt" / "config.toml").open("a", encoding="utf-8") as config:
        config.write(
            '\n[sources.lake]\nkind = "s3"\nbucket_url = "s3://lake"\n'
            'path = "orders/{date:%Y-%m-%d}/"\ntable = "orders"\n'
            "[sources.lake.credentials]\n"
            f'endpoint_url = "{env["SOURCES__S3__CREDENTIALS__ENDPOINT_URL"]}"\n'
        )
    (folder / ".dlt" / "secrets.toml").write_text(
        "[sources.lake.credentials]\n"
        f'aws_access_key_id = "{env["SOURCES__S3__CREDENTIALS__AWS_ACCESS_KEY_ID"]}"\n'
        f'aws_secret_access_key = "{env["SOURCES__S3__CREDENTIALS__AWS_SECRET_ACCESS_KEY"]}"\n'
    )
    (folder / "models" / "staging" / "lake").mkdir()
    (folder / "models" / "staging" / "lake" / "stg_lake__orders.sql").write_text(STAGING)
    (folder / "models" / "staging" / "lake" / "_lake__models.yml").write_text(MODELS)
    edit(
        folder / "models" / "intermediate" / "events" / "int_events_checked.sql",
        "'stg_api__events'",
        "'stg_api__events', 'stg_lake__orders'",
    )


def send_again(folder: Path, event_id: str) -> None:
    """Let the next day's raw records hold one that was quarantined on the day, with a user that exists."""
    import duckdb

    with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
        connection.execute(
            f"insert into raw_s3.events by name select * replace (date '{NEXT_DAY}' as load_date, "
            "(select min(user_id) from raw_postgres.users)::varchar as user_id) from raw_s3.events "
            "where lower(trim(event_id)) = ?",
            [event_id],
        )
        connection.execute(
            "insert into metadata.load_outcomes by name select * replace "
            f"(date '{NEXT_DAY}' as load_date, 1 as count_collected) from metadata.load_outcomes where source = 's3'"
        )


def an_orphan(folder: Path, user: int) -> str:
    """The id of an event that is quarantined for want of this user."""
    found = rows(
        folder,
        "select record_key from quarantine.quarantined_records where source = 's3' and reasons = 'orphan_user' "
        f"and payload like '%\"{user}\"%' order by record_key limit 1",
    )
    return str(found[0][0])


@pytest.fixture(scope="module")
def story(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    sent_again = getattr(request, "param", False)
    folder = tmp_path_factory.mktemp("own") / "project"
    with running_sandbox(DAY, 0.01, "none") as env:
        login = {key: env[f"SOURCES__POSTGRES__CREDENTIALS__{key.upper()}"] for key in ("host", "port", "password")}
        user, name = env["SOURCES__POSTGRES__CREDENTIALS__USERNAME"], env["SOURCES__POSTGRES__CREDENTIALS__DATABASE"]
        with psycopg2.connect(**login, user=user, dbname=name) as connection, connection.cursor() as cursor:
            # the first users have most of the records
            cursor.execute("select user_id from users order by user_id limit 2 offset 30")
            (absent,), (present,) = cursor.fetchall()
        own_project(folder, env, present)
        goal = (folder / "goal.md").read_text(encoding="utf-8")
        (folder / "lenient.md").write_text(goal.replace("< 2% transformation", "< 9% transformation"), encoding="utf-8")
        without_user = {**env, "SOURCES__POSTGRES__TABLES__USERS__WHERE": f"user_id <> {absent}"}
        (folder / "goal.md").write_text(goal.replace("< 2% transformation", "< 1% transformation"), encoding="utf-8")

        escalated = orchestrate(folder, "--date", DAY, "--json", env=without_user)
        assert escalated.exit_code == 4, escalated.errors
        held_back = ask(folder, "quarantine", "list", "--date", DAY).output
        lenient = ("--goal", "lenient.md", "--json")
        first = orchestrate(folder, "replay", "--date", DAY, "--keep-references", *lenient, env=without_user)
        assert first.exit_code == 0, first.errors
        next_day = None
        if sent_again:
            send_again(folder, an_orphan(folder, absent))
            next_day = orchestrate(folder, "replay", "--date", NEXT_DAY, "--keep-references", *lenient, env=env)

        before = {day: events_csv(folder, f"load_date = date '{day}'") for day in (DAY, NEXT_DAY)}
        locked_out = {**env, "SOURCES__POSTGRES__CREDENTIALS__PASSWORD": "a wrong one"}
        unreadable = orchestrate(folder, "replay", "--date", DAY, *lenient, env=locked_out)
        before["after"] = events_csv(folder, f"load_date = date '{DAY}'")

        with (folder / "seeds" / "event_types.csv").open("a", encoding="utf-8") as seed:
            seed.write("chargeback,-9000.00,9000.00,1,Money taken back by a bank.\n")
        second = orchestrate(folder, "replay", "--date", DAY, *lenient, env=env)
        yield Story(
            folder, env, absent, escalated, held_back, first, next_day, unreadable, before, second
        )  # fmt: skip


def test_a_source_of_their_own_is_collected_mapped_and_published(story: Story) -> None:
    assert story.first.summary["sources"]["lake"]["collected"] == ORDERS
    assert story.first.summary["sources"]["lake"]["published"] == ORDERS
    sql = "select count(*), sum(amount), max(load_date) from analytics.events where source = 'lake'"
    ((count, amount, _),) = rows(story.folder, sql)
    assert (count, float(amount)) == (ORDERS, sum(n + 0.5 for n in range(1, ORDERS + 1)))


def test_what_an_escalated_day_rejected_can_be_seen(story: Story) -> None:
    assert story.escalated.summary["status"] == "ESCALATED"
    assert f"run {story.escalated.summary['run_id']} built the day and held it back" in story.held_back
    assert "orphan_user" in story.held_back


def test_a_replay_publishes_an_escalated_day_without_collecting_it_again(story: Story) -> None:
    summary = story.first.summary
    assert summary["status"] == "SUCCESS"
    assert {source["run_id"] for source in summary["sources"].values()} == {story.escalated.summary["run_id"]}
    loads = rows(story.folder, f"select distinct run_id from metadata.load_outcomes where load_date = date '{DAY}'")
    assert loads == [(story.escalated.summary["run_id"],)]


def test_what_was_fixed_passes_and_its_history_is_kept(story: Story) -> None:
    assert story.second.exit_code == 0, story.second.errors
    run_id, first_id = story.second.summary["run_id"], story.first.summary["run_id"]
    replayed = rows(
        story.folder,
        "select reasons, run_id, replayed_by_run, record_key from quarantine.quarantined_records "
        f"where load_date = date '{DAY}' and status = 'replayed'",
    )
    assert {(run, by) for _, run, by, _ in replayed} == {(first_id, run_id)}
    assert {reasons for reasons, *_ in replayed} == {"orphan_user", "event_type_unknown"}
    gone = story.first.summary["quarantined"] - story.second.summary["quarantined"]
    assert len(replayed) == gone > 0
    assert f"{gone} records left the quarantine" in story.second.errors


def test_every_event_is_published_once_and_every_record_is_accounted_for(story: Story) -> None:
    assert rows(story.folder, "select event_id from analytics.events group by event_id having count(*) > 1") == []
    unpublished = rows(
        story.folder,
        "select record_key from quarantine.quarantined_records as q where status = 'replayed' "
        "and not exists (select 1 from analytics.events as e "
        "where e.event_id = q.record_key and e.load_date = q.load_date)",
    )
    duplicates = story.second.summary["duplicates"] - story.first.summary["duplicates"]
    assert len(unpublished) == duplicates
    still_open = rows(
        story.folder,
        "select source, count(*) from quarantine.quarantined_records "
        f"where load_date = date '{DAY}' and status = 'open' group by 1",
    )
    for name, source in story.second.summary["sources"].items():
        assert source["quarantined"] == dict(still_open).get(name, 0)
        assert source["collected"] == source["published"] + source["quarantined"] + source["duplicates"]


# of days that are run, end_to_end/test_days_in_any_order.py promises the same
@pytest.mark.soak
@pytest.mark.parametrize("story", [True], indirect=True)
def test_an_event_that_a_later_day_had_published_moves_to_the_day_that_it_belongs_to(story: Story) -> None:
    assert story.next_day is not None
    assert story.next_day.summary["published"] == 1
    assert len(story.before[NEXT_DAY].splitlines()) == 2
    assert rows(story.folder, f"select count(*) from analytics.events where load_date = date '{NEXT_DAY}'") == [(0,)]
    assert f"{NEXT_DAY} had published records that belong to an earlier day now" in story.second.errors


def test_only_the_reference_tables_are_read_anew_and_stay_with_their_load(story: Story) -> None:
    users = rows(
        story.folder,
        f"select load_id, count(*), bool_or(user_id = {story.absent_user}) from raw_postgres.users "
        f"where load_date = date '{DAY}' group by 1",
    )
    assert users == [(story.escalated.summary["run_id"], 200, True)]


def test_a_reference_table_that_cannot_be_read_changes_nothing(story: Story) -> None:
    assert story.unreadable.exit_code == 4
    summary = story.unreadable.summary
    assert summary["escalation"]["phase"] == "collect"
    assert "--keep-references" in summary["escalation"]["recommendation"]
    assert story.before["after"] == story.before[DAY]


def test_the_day_is_complete_afterwards(story: Story) -> None:
    run = orchestrate(story.folder, "--date", DAY, "--json", env=story.env)
    assert run.summary["status"] == "NOTHING_TO_DO"
    assert run.summary["run_id"] == story.second.summary["run_id"]


def test_the_list_counts_open_records_and_shows_the_replayed_ones(story: Story) -> None:
    data = ask(story.folder, "quarantine", "list", "--date", DAY, "--json").data
    assert data["records"] == story.second.summary["quarantined"]
    assert sum(group["replayed"] for group in data["groups"]) > 0
    exported = ask(story.folder, "quarantine", "export", "--date", DAY, "--output", "-").output
    everything = ask(story.folder, "quarantine", "export", "--date", DAY, "--all", "--output", "-").output
    assert {json.loads(line)["status"] for line in exported.splitlines()} == {"open"}
    assert {json.loads(line)["status"] for line in everything.splitlines()} == {"open", "replayed"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--date", "2025-11-20"), "2025-11-20 has no raw records to replay"),
        (("--date", DAY, "--source", "ftp"), "source 'ftp' is unknown. Sources with reference tables: postgres"),
        (("--date", DAY, "--source", "lake"), "source 'lake' has no reference table"),
        (("--date", DAY, "--source", "postgres", "--keep-references"), "--keep-references"),
        ((), "--date"),
    ],
)
def test_wrong_options_are_usage_errors(
    story: Story, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], words: str
) -> None:
    for name, value in story.env.items():
        monkeypatch.setenv(name, value)
    answer = ask(story.folder, "replay", *arguments)
    assert answer.exit_code == 2
    assert words in answer.errors
