"""The casts, the cleaning and the JSON reading give the same on both engines, value by value or rejection by rejection."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import duckdb
import pytest
from postgres.helpers import PROJECT, connect, dbt, query
from postgres.odd_values import DOCUMENTS, NUMBERS, TEXTS, TIMESTAMPS

PLAIN = [*NUMBERS, *TIMESTAMPS, *TEXTS]
FIELDS = "{'id': ['id'], 'amount': ['amount'], 'country': ['country'], 'nested': ['place', 'country']}"
MODELS = {
    "plain": """
        with cleaned as (select number, {{ clean_text('content') }} as content from corpus.plain_texts)
        select
            number,
            content,
            {{ lower_ascii('content') }} as in_lower,
            {{ upper_ascii('content') }} as in_upper,
            {{ try_cast('content', 'bigint') }} as as_bigint,
            {{ try_cast('content', 'integer') }} as as_integer,
            {{ try_cast('content', 'numeric(18, 2)') }} as as_numeric,
            {{ try_cast('content', 'timestamptz', 'UTC') }} as as_timestamp,
            row_number() over (order by {{ in_byte_order('content') }}, number) as place,
            {{ try_cast('content', 'timestamptz') }} as with_a_zone,
            {{ try_cast('content', 'timestamptz', 'America/New_York') }} as of_new_york,
            {{ try_cast('content', 'timestamp') }} as without_a_zone,
            {{ try_cast('content', 'date') }} as as_date,
            {{ try_cast('content', 'smallint') }} as as_smallint,
            {{ try_cast('content', 'numeric(38, 10)') }} as as_wide_numeric,
            {{ try_cast('content', 'numeric(9, 0)') }} as as_whole_numeric,
            {{ try_cast('content', 'double precision') }} as as_double,
            {{ try_cast('content', 'boolean') }} as as_boolean,
            cast({{ try_cast('content', 'json') }} as text) as as_json
        from cleaned
    """,
    "document": f"select * from ({{{{ json_fields('corpus.documents', 'content', {FIELDS}) }}}}) as fields",
    "payload": "select number, {{ record_payload(['number', 'content']) }} as payload from corpus.plain_texts",
}
Rows = dict[str, dict[int, tuple[Any, ...]]]


@pytest.fixture(scope="module")
def answers(servers: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Rows]:
    """What each engine makes of the corpus, by target, model and value."""
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "models").mkdir()
    (folder / "dbt_project.yml").write_text(
        f"name: corpus\nversion: '1.0'\nprofile: goalkeeper\nmacro-paths: ['{PROJECT / 'macros'}']\n"
        "models: {+materialized: view, +schema: corpus}\n"
    )
    for name, sql in MODELS.items():
        (folder / "models" / f"{name}.sql").write_text(sql)
    env = {**servers, "DUCKDB_PATH": str(folder / "warehouse.duckdb")}

    postgres = connect(env)
    # a server in another time zone and with another date style must not matter
    query(postgres, f"alter role {env['POSTGRES_USER']} set timezone to 'Pacific/Apia'")
    query(postgres, f"alter role {env['POSTGRES_USER']} set datestyle to 'German'")
    for statement in _tables():
        query(postgres, statement)
    for table, values in (("plain_texts", PLAIN), ("documents", DOCUMENTS)):
        for number, value in enumerate(values):
            query(postgres, f"insert into corpus.{table} values (%s, %s)", (number, value))
    dbt(folder, env, "postgres", "run")
    found = {"postgres": {name: _by_number(_columns(postgres, name), query(postgres, _read(name))) for name in MODELS}}
    postgres.close()

    with duckdb.connect(env["DUCKDB_PATH"]) as embedded:
        for statement in _tables():
            embedded.execute(statement)
        for table, values in (("plain_texts", PLAIN), ("documents", DOCUMENTS)):
            embedded.executemany(f"insert into corpus.{table} values (?, ?)", list(enumerate(values)))
    dbt(folder, env, "duckdb", "run")
    with duckdb.connect(env["DUCKDB_PATH"]) as embedded:
        embedded.execute("set timezone = 'UTC'")
        found["duckdb"] = {
            name: _by_number(
                [column[0] for column in embedded.execute(f"describe corpus.{name}").fetchall()],
                embedded.execute(_read(name)).fetchall(),
            )
            for name in MODELS
        }
    return found


def _tables() -> list[str]:
    return [
        "create schema corpus",
        "create table corpus.plain_texts (number integer, content text)",
        "create table corpus.documents (number integer, content text)",
    ]


def _read(name: str) -> str:
    return f"select * from corpus.{name}"


def _columns(connection: Any, name: str) -> list[str]:
    found = query(
        connection,
        "select column_name from information_schema.columns where table_schema = 'corpus' and table_name = %s "
        "order by ordinal_position",
        (name,),
    )
    return [row[0] for row in found]


def _by_number(columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> dict[int, tuple[Any, ...]]:
    # what one engine calls a column more (the document itself) is not part of the answer
    wanted = [at for at, name in enumerate(columns) if name not in ("number", "json_document")]
    number = list(columns).index("number")
    return {row[number]: tuple(_plain(row[at]) for at in wanted) for row in rows}


def _plain(value: Any) -> Any:
    return value.astimezone(dt.UTC) if isinstance(value, dt.datetime) and value.tzinfo else value


def _differences(answers: dict[str, Rows], model: str, values: Sequence[str]) -> list[str]:
    ours, theirs = answers["duckdb"][model], answers["postgres"][model]
    assert len(ours) == len(theirs) == len(values)
    return [
        f"{value[:80]!r}: duckdb {str(ours[at])[:300]}, postgres {str(theirs[at])[:300]}"
        for at, value in enumerate(values)
        if ours[at] != theirs[at]
    ]


def test_the_corpus_is_large() -> None:
    assert len(set(NUMBERS)) + len(set(TIMESTAMPS)) >= 300
    assert len(set(PLAIN)) + len(set(DOCUMENTS)) >= 850


def test_every_odd_text_gives_the_same_on_both_engines(answers: dict[str, Rows]) -> None:
    assert _differences(answers, "plain", PLAIN) == []


def test_every_odd_document_gives_the_same_on_both_engines(answers: dict[str, Rows]) -> None:
    assert _differences(answers, "document", DOCUMENTS) == []


def test_every_record_is_kept_as_the_same_payload(answers: dict[str, Rows]) -> None:
    for number, value in enumerate(PLAIN):
        payloads = {target: answers[target]["payload"][number][0] for target in ("duckdb", "postgres")}
        # a control character is \u000b in one and \u000B in the other
        assert payloads["duckdb"].lower() == payloads["postgres"].lower()
        assert all(json.loads(payload) == {"number": number, "content": value} for payload in payloads.values())


def _text(answers: dict[str, Rows], value: str) -> tuple[Any, ...]:
    return answers["postgres"]["plain"][PLAIN.index(value)]


def _document(answers: dict[str, Rows], document: str) -> tuple[Any, ...]:
    return answers["postgres"]["document"][DOCUMENTS.index(document)][1:]


@pytest.mark.parametrize(
    ("value", "bigint", "integer", "numeric"),
    [
        ("007", 7, 7, Decimal("7.00")),
        ("+007", 7, 7, Decimal("7.00")),
        ("-0", 0, 0, Decimal("0.00")),
        ("9" * 10, 9_999_999_999, None, Decimal("9999999999.00")),
        ("9" * 18, 10**18 - 1, None, None),
        ("9" * 19, None, None, None),
        ("1.25" + "0" * 30, None, None, Decimal("1.25")),
        ("1.005", None, None, None),
        ("9" * 15 + ".99", None, None, Decimal("999999999999999.99")),
        ("1,000", None, None, None),
        ("1_000", None, None, None),
        ("0x1F", None, None, None),
        ("1e5", None, None, None),
        ("$1.00", None, None, None),
        ("NaN", None, None, None),
        ("１２３", None, None, None),
        ("\u00a01\u00a0", 1, 1, Decimal("1.00")),
    ],
)
def test_a_number_is_what_its_accepted_form_says(
    answers: dict[str, Rows], value: str, bigint: int | None, integer: int | None, numeric: Decimal | None
) -> None:
    assert _text(answers, value)[3:6] == (bigint, integer, numeric)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2025-11-16T00:00:00", "2025-11-16T00:00:00+00:00"),
        ("2025-11-16 00:00:00Z", "2025-11-16T00:00:00+00:00"),
        ("2025-11-16T00:00:00+05:30", "2025-11-15T18:30:00+00:00"),
        ("2025-11-16T00:00:00.123456Z", "2025-11-16T00:00:00.123456+00:00"),
        ("2025-11-02T01:30:00", "2025-11-02T01:30:00+00:00"),
        ("2025-11-16T00:00:00.1234567Z", None),
        ("2016-12-31T23:59:60Z", None),
        ("2025-11-16T24:00:00Z", None),
        ("2025-02-30T00:00:00Z", None),
        ("infinity", None),
        ("now", None),
        ("0000-01-01T00:00:00Z", None),
        ("9999-12-31T23:59:59-14:00", None),
    ],
)
def test_a_timestamp_is_utc_or_rejected(answers: dict[str, Rows], value: str, expected: str | None) -> None:
    found = _text(answers, value)[6]
    assert (found and found.isoformat()) == expected


@pytest.mark.parametrize(
    ("value", "with_a_zone", "of_new_york", "without_a_zone"),
    [
        ("2025-11-16T00:00:00", None, "2025-11-16T05:00:00+00:00", "2025-11-16T00:00:00"),
        ("2025-11-16T00:00:00Z", "2025-11-16T00:00:00+00:00", "2025-11-16T00:00:00+00:00", None),
        ("2025-11-16T00:00:00+01", "2025-11-15T23:00:00+00:00", "2025-11-15T23:00:00+00:00", None),
    ],
)
def test_a_time_without_a_zone_is_of_the_declared_one_or_none(
    answers: dict[str, Rows], value: str, with_a_zone: str | None, of_new_york: str, without_a_zone: str | None
) -> None:
    found = [moment and moment.isoformat() for moment in _text(answers, value)[8:10]]
    assert found == [with_a_zone, of_new_york]
    local = _text(answers, value)[10]
    assert (local and local.isoformat()) == without_a_zone


def test_case_is_folded_only_as_far_as_it_is_ascii(answers: dict[str, Rows]) -> None:
    assert _text(answers, "ISTANBUL")[1] == "istanbul"
    assert _text(answers, "İI")[1:3] == ("İi", "İI")
    assert _text(answers, "Straße")[2] == "STRAßE"


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ('{"id":"e1","amount":12.50,"country":"DE"}', (True, "e1", "12.50", "DE", None)),
        ('{"id":"e1","amount":1e5,"country":"DE"}', (True, "e1", "1e5", "DE", None)),
        (
            '{"id":"e1","amount":1180591620717411303424,"country":"DE"}',
            (True, "e1", "1180591620717411303424", "DE", None),
        ),
        ('{"id":"e1","amount":-0,"country":"DE"}', (True, "e1", "-0", "DE", None)),
        ('{"id":"e1","amount":{"value":45.00},"country":"DE"}', (True, "e1", "{", "DE", None)),
        ('{"id":"e1","amount":"{","country":"DE"}', (True, "e1", "{", "DE", None)),
        ('{"id":"e1","amount":"{x}","country":"DE"}', (True, "e1", "{x}", "DE", None)),
        ('{"id":"e1","amount":[1, 2],"country":"DE"}', (True, "e1", "[", "DE", None)),
        ('{"id":"e1","amount":null,"country":"DE"}', (True, "e1", None, "DE", None)),
        ('{"id":"e1","amount":true,"country":"DE"}', (True, "e1", "true", "DE", None)),
        ('{"id":"e1","amount":"\\ud83d\\ude00","country":"DE"}', (True, "e1", "😀", "DE", None)),
        ('{"id":"e1","amount":"\\\\u0000","country":"DE"}', (True, "e1", "\\u0000", "DE", None)),
        ('{"x":"\\"amount\\":7.70","amount":12.50}', (True, None, "12.50", None, None)),
        ('{"x":{"amount":7.70},"amount":12.50}', (True, None, "12.50", None, None)),
        ('{"amount":1,"amount":2}', (False, None, None, None, None)),
        ('{"x":{"y":1,"y":2},"amount":1}', (False, None, None, None, None)),
        ('{"amount":1,}', (False, None, None, None, None)),
        ('{"x":NaN,"amount":1}', (False, None, None, None, None)),
        ('{"id":"e1","amount":"\\u0000","country":"DE"}', (False, None, None, None, None)),
        ('{"id":"e1","amount":"\\ud800","country":"DE"}', (False, None, None, None, None)),
        ('[{"amount":1}]', (False, None, None, None, None)),
        ("42", (False, None, None, None, None)),
    ],
)
def test_a_document_is_read_strictly_and_its_values_as_sent(
    answers: dict[str, Rows], document: str, expected: tuple[Any, ...]
) -> None:
    assert _document(answers, document) == expected
