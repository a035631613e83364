"""The configuration: dlt's places and order, and every mistake named."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from urllib.parse import unquote

import pytest
from loader_helpers import ROOT

from loaders.config import _secret_values, configured_source_names, read_contracts, read_sources
from loaders.contract import Contract
from loaders.errors import ConfigurationError
from loaders.kinds.postgres import PostgresSource
from loaders.kinds.rest_api import RestApiSource
from loaders.kinds.s3 import FileTable, S3Source
from loaders.redact import redact, register_secrets

API = '[sources.api]\nkind = "rest_api"\nbase_url = "https://api.example.com"\n'
LAKE = '[sources.lake]\nkind = "s3"\nbucket_url = "s3://data-lake"\n'
SHOP = """
[sources.shop]
kind = "postgres"
[sources.shop.tables.transactions]
table = "transactions_{date:%Y_%m_%d}"
[sources.shop.credentials]
host = "db.example.com"
database = "shop"
username = "loader"
"""


def write(name: str, text: str) -> None:
    (Path(os.environ["DLT_PROJECT_DIR"]) / ".dlt" / name).write_text(text)


def error_of(text: str, names: tuple[str, ...] = ()) -> str:
    write("config.toml", text)
    with pytest.raises(ConfigurationError) as caught:
        read_sources(names)
    return str(caught.value)


def test_all_three_kinds_are_read_from_toml():
    write("config.toml", API + LAKE + SHOP)
    write("secrets.toml", '[sources.shop.credentials]\npassword = "secret-of-shop"\n')
    api, lake, shop = read_sources()
    assert isinstance(api, RestApiSource)
    assert isinstance(lake, S3Source)
    assert isinstance(shop, PostgresSource)
    assert (api.timeout_s, api.total_timeout_s, api.table) == (30, 600, "events")
    assert lake.credentials.aws_access_key_id is None
    assert shop.credentials.password == "secret-of-shop"
    assert shop.tables[0].table == "transactions_{date:%Y_%m_%d}"


def test_environment_wins_over_secrets_over_config(monkeypatch: pytest.MonkeyPatch):
    write("config.toml", API + 'path = "config"\ntimeout_s = 1\ntable = "config"\n')
    write("secrets.toml", '[sources.api]\npath = "secrets"\ntimeout_s = 2\n')
    monkeypatch.setenv("SOURCES__API__TIMEOUT_S", "3")
    (api,) = read_sources()
    assert isinstance(api, RestApiSource)
    assert (api.table, api.path, api.timeout_s) == ("config", "secrets", 3)


def test_the_order_is_the_one_of_dlt(monkeypatch: pytest.MonkeyPatch):
    write("config.toml", API + 'path = "config"\n[sources.api.params]\nShop = "config"\n')
    write("secrets.toml", '[sources.api.auth]\ntoken = "token-in-secrets"\n')
    monkeypatch.setenv("SOURCES__API__PATH", "from-env")
    script = (
        "import dlt\n"
        "print(dlt.config['sources.api.path'], dlt.secrets['sources.api.auth.token'],"
        " dlt.config['sources.api.params'])"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    (api,) = read_sources()
    assert isinstance(api, RestApiSource)
    assert shown.split(maxsplit=2)[:2] == [api.path, api.auth["token"]]
    assert str(dict(api.params)) in shown


def test_a_source_can_live_in_the_environment_alone(monkeypatch: pytest.MonkeyPatch):
    for key, value in {
        "KIND": "postgres",
        "CREDENTIALS": "postgresql://loader:secret%2Fword@db.example.com:6432/shop?sslmode=require",
        "CREDENTIALS__HOST": "other.example.com",
        "TABLES__USERS__TABLE": "users",
        "TABLES__USERS__REFERENCE": "true",
        "ALLOW_EMPTY": "yes",
    }.items():
        monkeypatch.setenv(f"SOURCES__SHOP__{key}", value)
    (shop,) = read_sources()
    assert isinstance(shop, PostgresSource)
    assert shop.credentials.host == "other.example.com"
    assert (shop.credentials.port, shop.credentials.password) == (6432, "secret/word")
    assert shop.credentials.query == {"sslmode": "require"}
    assert shop.tables[0].reference
    assert shop.allow_empty


def test_names_are_found_without_importing_dlt():
    write("config.toml", LAKE)
    write("secrets.toml", '[sources.api.auth]\ntoken = "x"\n')
    script = (
        "import sys\nfrom loaders.config import configured_source_names\n"
        "print(configured_source_names(), {'dlt', 'pyarrow', 'pydantic'} & set(sys.modules))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**os.environ, "SOURCES__SHOP__KIND": "postgres"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert shown == "['lake', 'shop', 'api'] set()\n"


def test_no_sources_is_an_error_and_an_empty_list():
    assert configured_source_names() == []
    assert "no sources are configured" in error_of("")


def test_the_committed_configuration_configures_nothing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DLT_PROJECT_DIR", str(ROOT))
    if not (ROOT / ".dlt" / "secrets.toml").exists():
        assert configured_source_names() == []
    assert "dlthub_telemetry = false" in (ROOT / ".dlt" / "config.toml").read_text()


def test_the_commented_examples_are_valid():
    example = (ROOT / ".dlt" / "config.toml").read_text()
    lines = [line.removeprefix("# ") for line in example.splitlines()]
    start = lines.index("[sources.lake]")
    write("config.toml", "\n".join(lines[start:]))
    write(
        "secrets.toml",
        '[sources.shop.credentials]\npassword = "x"\n[sources.partner.auth]\ntoken = "x"\n',
    )
    assert [source.name for source in read_sources()] == ["files", "lake", "partner", "shop"]


def test_every_key_of_files_stands_in_the_examples():
    text = (ROOT / ".dlt" / "config.toml").read_text()
    for key in (*fields(S3Source), *fields(FileTable)):
        if key.name != "name":
            assert re.search(rf"^# (# )?(\[sources\.\w+\.)?{key.name}\b", text, re.MULTILINE), key.name


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (API + "tabel = 1\n", ["sources.api.tabel is not a known key", "mean table?", "total_timeout_s"]),
        (API + "name = 'x'\n", ["sources.api.name is not a known key"]),
        (API + "timeout_s = true\n", ["sources.api.timeout_s = 'True' is not a number"]),
        (API + "timeout_s = inf\n", ["sources.api.timeout_s = inf is not a number"]),
        (API + "max_page_bytes = 1.5\n", ["sources.api.max_page_bytes = 1.5 is not a whole number"]),
        (API + "path = ['x']\n", ["sources.api.path = ['x'] is not a text"]),
        (API + "params = 'x'\n", ["sources.api.params is not a table"]),
        (API + "[sources.api.paginator]\ntype = 'offset'\nlimit = 'all'\n", ["paginator.limit = 'all' is not a whole"]),
        (LAKE + "columns = 7\n", ["sources.lake.columns = 7 is not a list of texts"]),
        (LAKE + "columns = '[a'\n", ["sources.lake.columns = '[a' is not a list of texts"]),
        (
            LAKE + "max_record_bytes = 1073741825\n",
            ["max_record_bytes = 1073741825 is not a number of at most 1073741824"],
        ),
        (SHOP + "password = 'x'\nport = 'a'\n", ["sources.shop.credentials.port = 'a' is not a whole number"]),
        ('[sources.api]\nkind = "ftp"\n', ["'ftp'", "s3, postgres, rest_api"]),
        ("[sources.api]\npath = 'x'\n", ["sources.api.kind is missing", "SOURCES__API__KIND"]),
        ('[sources.api]\nkind = "rest_api"\n', ["sources.api.base_url is missing"]),
        (API + 'timeout_s = "soon"\n', ["sources.api.timeout_s = 'soon'", "a number"]),
        (API + "timeout_s = 0\n", ["timeout_s = 0", "at least 0.1"]),
        (API + 'allow_empty = "perhaps"\n', ["allow_empty = 'perhaps'", "true or false"]),
        (API + 'table = "raw events"\n', ["table = 'raw events'"]),
        (API + 'fallback_url = "ftp://x"\n', ["sources.api.fallback_url", "http or https"]),
        (API + '[sources.api.paginator]\ntype = "link"\n', ["'link'", "json_link"]),
        (API + '[sources.api.auth]\ntype = "magic"\n', ["'magic'", "bearer"]),
        (API + '[sources.api.auth]\ntype = "bearer"\n', ["sources.api.auth.token is missing"]),
        (LAKE + 'path = "{day}"\n', ["sources.lake.path", "{day}"]),
        (LAKE + 'path = "{date.year}"\n', ["sources.lake.path", "{date.year}"]),
        (LAKE + 'path = "{date!r}"\n', ["sources.lake.path"]),
        (LAKE + 'path = "{date:{date}}"\n', ["sources.lake.path"]),
        (LAKE + 'path = "{date:>10}"\n', ["strftime"]),
        (LAKE + 'path = "{date"\n', ["sources.lake.path"]),
        (API + '[sources.api.params]\nx = "{date.__class__}"\n', ["sources.api.params.x"]),
        (LAKE.replace("s3://data-lake", "data-lake"), ["s3://bucket"]),
        (LAKE + "csv_header = false\n", ["sources.lake.columns"]),
        (LAKE + "csv_delimiter = ';;'\n", ["one character"]),
        (
            LAKE + '[sources.lake.credentials]\naws_access_key_id = "a"\n',
            ["aws_secret_access_key is missing", "example.secrets.toml"],
        ),
        (SHOP, ["sources.shop.credentials.password is missing", "secrets.toml"]),
        (SHOP + "passwort = 'x'\npassword = 'y'\n", ["passwort is not a known key", "password"]),
        (SHOP.replace('"shop"', '"shop"\ndrivername = "mysql"'), ["'mysql'", "postgresql"]),
        ('[sources.shop]\nkind = "postgres"\n', ["sources.shop.tables is missing"]),
        (
            SHOP + "[sources.shop.tables.users]\ncursor = 'at'\nreference = true\n",
            ["sources.shop.tables.users.cursor = 'at'", "Remove cursor or reference"],
        ),
        (f'{LAKE}encoding = "utf8mb4"\n', ["sources.lake.encoding = 'utf8mb4' is no encoding", "cp1252"]),
        (f'{LAKE}encoding = "base64"\n', ["sources.lake.encoding = 'base64' is no encoding"]),
        (f'{LAKE}csv_quote = "ab"\n', ["sources.lake.csv_quote = 'ab' is not one character", "'none'"]),
        ('[sources.x]\nkind = "s3"\nbucket_url = "file://data"\n', ["'file://data' must look like", "file:///folder"]),
        ('[sources."My Lake"]\nkind = "s3"\n', ["'My Lake' is not a source name"]),
        ("[sources\n", ["config.toml is not valid TOML"]),
    ],
)
def test_a_mistake_is_named_with_what_to_do(text: str, parts: list[str]):
    message = error_of(text)
    for part in parts:
        assert part in message


@pytest.mark.parametrize("value", ["['canary']", "{password = ['canary']}", "{query = ['canary']}"])
def test_a_credential_of_a_wrong_type_is_not_shown(value: str):
    base = SHOP.partition("[sources.shop.credentials]")[0]
    assert "canary" not in error_of(base.replace('"postgres"', f'"postgres"\ncredentials = {value}'))


def test_lists_and_tables_come_as_text_from_the_environment(monkeypatch: pytest.MonkeyPatch):
    write("config.toml", API + LAKE)
    for key, value in {
        "LAKE__COLUMNS": "id, amount",
        "LAKE__CSV_HEADER": "off",
        "LAKE__MAX_RECORD_BYTES": "1000",
        "API__PARAMS": '{"day": "{date:%d}", "empty": "", "n": 1, "all": true}',
        "API__PAGINATOR": '{"type": "offset", "limit": "5"}',
        "API__TIMEOUT_S": "1.5",
        "API__PATH": "",
    }.items():
        monkeypatch.setenv(f"SOURCES__{key}", value)
    api, lake = read_sources()
    assert isinstance(api, RestApiSource)
    assert isinstance(lake, S3Source)
    (files,) = lake.tables
    assert (files.columns, files.csv_header, files.max_record_bytes) == (("id", "amount"), False, 1000)
    assert api.params == {"day": "{date:%d}", "empty": "", "n": "1", "all": "True"}
    assert api.paginator == {"type": "offset", "limit": 5}
    assert (api.timeout_s, api.path) == (1.5, "")
    monkeypatch.setenv("SOURCES__LAKE__COLUMNS", '["id", "a,b"]')
    (lake,) = read_sources(["lake"])
    assert isinstance(lake, S3Source)
    assert lake.tables[0].columns == ("id", "a,b")


def test_what_a_source_says_of_its_files_holds_for_all_its_tables():
    own = '[sources.lake.tables.orders]\npath = "orders/"\n[sources.lake.tables.lines]\ncsv_delimiter = "|"\n'
    write("config.toml", f'{LAKE}csv_delimiter = ";"\n{own}')
    (lake,) = read_sources()
    assert isinstance(lake, S3Source)
    assert [(table.name, table.path, table.csv_delimiter) for table in lake.tables] == [
        ("lines", "", "|"),
        ("orders", "orders/", ";"),
    ]
    message = error_of(f"{LAKE}{own}csv_delimeter = 1\n")
    assert "sources.lake.tables.lines.csv_delimeter is not a known key. Did you mean csv_delimiter?" in message
    assert "sources.lake.pth is not a known key. Did you mean path?" in error_of(f'{LAKE}pth = "x"\n{own}')
    assert "sources.lake.table names a source's only table" in error_of(f'{LAKE}table = "x"\n{own}')
    assert "'My Orders' is not a table name" in error_of(f'{LAKE}[sources.lake.tables."My Orders"]\n')


def test_an_unknown_source_is_named_with_the_known_ones():
    message = error_of(API + LAKE, ("s4",))
    assert "'s4' is not configured" in message
    assert "api, lake" in message


def test_only_the_chosen_sources_need_to_be_complete():
    write("config.toml", API + SHOP)
    assert [source.name for source in read_sources(["api"])] == ["api"]


def test_a_mounted_secret_is_found_through_dlt(monkeypatch: pytest.MonkeyPatch):
    asked = []

    def secret(*path: str) -> str:
        asked.append(path)
        return "from-a-vault"

    monkeypatch.setattr("loaders.fields.dlt_secret", secret)
    write("config.toml", SHOP)
    (shop,) = read_sources()
    assert isinstance(shop, PostgresSource)
    assert shop.credentials.password == "from-a-vault"
    assert asked == [("shop", "credentials", "password")]


def test_parameters_in_the_secrets_file_are_secret():
    write("config.toml", API)
    own = '[sources.api.endpoints.orders.params]\nkey = "canary-of-an-endpoint"\n'
    write("secrets.toml", f'[sources.api.params]\nsubscription = "canary-parameter"\n{own}')
    read_sources()
    assert redact("GET /?x=canary-parameter&y=canary-of-an-endpoint") == "GET /?x=***&y=***"


def test_secrets_do_not_show_in_the_repr():
    write("config.toml", LAKE + SHOP + API + '[sources.api.headers]\nX-Key = "canary-header"\n')
    write(
        "secrets.toml",
        """
        [sources.lake.credentials]
        aws_access_key_id = "canary-key"
        aws_secret_access_key = "canary-secret"
        [sources.shop.credentials]
        password = "canary-password"
        [sources.api.auth]
        token = "canary-token"
        """,
    )
    assert "canary" not in repr(read_sources())


@pytest.mark.parametrize("password", ["canary/1", "canary[2", "canary]3", "canary#4", "canary?5", "12/canary6"])
def test_a_password_that_breaks_its_url_is_a_mistake_that_shows_nothing_of_it(
    password: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SOURCES__SHOP__CREDENTIALS", f"postgresql://loader:{password}@db.example.com/shop")
    message = error_of('[sources.shop]\nkind = "postgres"\n[sources.shop.tables.users]\n')
    assert "sources.shop.credentials is no connection string" in message
    assert "canary" not in message
    assert redact(f"refused {password}!") == "refused ***!"


@pytest.mark.parametrize("password", ["canary@of-url-3", "canary%2Fof-url-4", "canary%25"])
def test_a_password_that_keeps_its_url_whole_is_read(password: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SOURCES__SHOP__CREDENTIALS", f"postgresql://loader:{password}@db.example.com/shop")
    write("config.toml", '[sources.shop]\nkind = "postgres"\n[sources.shop.tables.users]\n')
    (shop,) = read_sources()
    assert isinstance(shop, PostgresSource)
    assert (shop.credentials.host, shop.credentials.password) == ("db.example.com", unquote(password))


@pytest.mark.parametrize(
    "password", ["canary/of/url-1", "canary[of-url-2", "canary@of-url-3", "canary%2Fof-url-4", "canary#of?url-5"]
)
def test_the_password_of_a_connection_string_is_known_however_its_url_is_read(password: str):
    url = f"postgresql://loader:{password}@db.example.com/shop"
    register_secrets(_secret_values({"shop": {"credentials": url}}))
    assert redact(f"refused {password}!") == "refused ***!"
    assert redact(f"refused {unquote(password)}!") == "refused ***!"


def test_a_source_of_any_kind_says_what_its_columns_may_do():
    keys = 'schema_contract = "freeze"\nrequired_columns = ["amount", "events.id"]\n'
    write("config.toml", API.replace('kind = "rest_api"\n', f'kind = "rest_api"\n{keys}', 1) + LAKE)
    read_sources(["api", "lake"])
    assert read_contracts(["api", "lake"]) == {"api": Contract("freeze", ("amount", "events.id")), "lake": Contract()}


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        (
            "SOURCES__LAKE__SCHEMA_CONTRACT",
            "frozen",
            "sources.lake.schema_contract = 'frozen' is not one of: 'evolve', 'freeze' or",
        ),
        ("SOURCES__LAKE__SCHEMA_CONTRAKT", "freeze", "Did you mean schema_contract?"),
    ],
)
def test_a_contract_that_is_none_is_a_mistake_with_what_it_may_be(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, words: str
):
    monkeypatch.setenv(variable, value)
    write("config.toml", LAKE)
    with pytest.raises(ConfigurationError) as caught:
        read_sources(["lake"])
    assert words in str(caught.value)
