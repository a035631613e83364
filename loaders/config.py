"""Read the configured sources from dlt's own configuration places, strictly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from loaders.errors import ConfigurationError
from loaders.fields import NAME, Section, env_name
from loaders.providers import (
    NATIVE,
    dlt_secret,
    read_merged_sources,
    read_toml_sources,
)
from loaders.redact import register_secrets
from loaders.sources import (
    PostgresCredentials,
    PostgresSource,
    PostgresTable,
    RestApiSource,
    S3Credentials,
    S3Source,
    Source,
)
from loaders.templates import check_template

KINDS = ("s3", "postgres", "rest_api")
GIB = 1024**3
MIB = 1024**2

PAGINATORS = {
    "single_page": (),
    "auto": (),
    "json_link": (),
    "header_link": (),
    "header_cursor": (),
    "cursor": (),
    "offset": ("limit", "offset", "maximum_offset"),
    "page_number": ("base_page", "page", "maximum_page"),
}
"""Types of dlt's rest_api paginators, and which of their options are whole numbers."""
AUTHS = {
    "bearer": ("token",),
    "api_key": ("api_key",),
    "http_basic": ("username", "password"),
    "oauth2_client_credentials": ("access_token_url", "client_id", "client_secret"),
}
"""Types of dlt's rest_api authentication, and what each can't do without."""


def configured_source_names() -> list[str]:
    """Return the names of all configured sources, by kind as in `KINDS` and then by name, without importing dlt.

    Raises:
        ConfigurationError: When a settings file is not valid TOML.
    """
    kinds: dict[str, str] = {}
    for name, settings in read_merged_sources().items():
        kinds[name.lower()] = str(settings.get("kind")) if isinstance(settings, dict) else ""
    return sorted(kinds, key=lambda name: (KINDS.index(kinds[name]) if kinds[name] in KINDS else len(KINDS), name))


def read_sources(names: Iterable[str] = ()) -> tuple[Source, ...]:
    """Read the sources of the given names, or all of them, checking every key.

    Args:
        names: Names of sources; none means all that are configured.

    Raises:
        ConfigurationError: Naming the key, its value and what to do next.
    """
    settings = read_merged_sources()
    for wanted in names:
        if wanted not in settings:
            known = ", ".join(sorted(settings)) or "none"
            raise ConfigurationError(
                f"source {wanted!r} is not configured. Known: {known}. "
                f"Add [sources.{wanted}] to .dlt/config.toml or correct the name."
            )
    if not settings:
        raise ConfigurationError(
            "no sources are configured. Add a [sources.<name>] table to .dlt/config.toml; "
            "the file shows an example of each kind."
        )
    register_secrets(_secret_values(settings), public=(*settings, *KINDS))
    # a key may have to go into the parameters; then it is in secrets.toml
    for source in read_toml_sources("secrets.toml").values():
        if isinstance(source, dict) and isinstance(source.get("params"), dict):
            register_secrets(map(str, source["params"].values()))
    chosen = list(dict.fromkeys(names)) or sorted(settings)
    return tuple(_read_source(name, settings[name]) for name in chosen)


def _secret_values(node: Any, secret: bool = False) -> Iterable[str]:
    """Yield every text below a `credentials` or `auth` key that is not plainly public."""
    public = {"host", "port", "database", "username", "drivername", "region_name", "type"}
    public |= {"endpoint_url", "location", "name", "profile_name", "query", "access_token_url"}
    if isinstance(node, Mapping):
        for key, value in node.items():
            hidden = (secret and key not in public) or key in ("credentials", "auth", "headers")
            yield from _secret_values(value, hidden)
    elif secret and isinstance(node, str):
        # of a connection string only the password is secret; `redact` hides its userinfo
        yield unquote(urlsplit(node).password or "") if "://" in node else node


def _read_source(name: str, values: Any) -> Source:
    where = f"sources.{name}"
    if not NAME.fullmatch(name):
        raise ConfigurationError(
            f"[{where}]: {name!r} is not a source name. Use lower-case letters, digits and "
            "underscores, beginning with a letter."
        )
    if not isinstance(values, dict):
        raise ConfigurationError(f"{where} = {values!r} must be a table with a kind.")
    section = Section(values, where)
    kind = section.text("kind")
    if kind is None:
        raise ConfigurationError(
            f"{where}.kind is missing. Set it to one of: {', '.join(KINDS)} "
            f"(in .dlt/config.toml or as {env_name(where, 'kind')})."
        )
    source: Source
    if kind == "s3":
        source = _read_s3(name, section)
    elif kind == "postgres":
        source = _read_postgres(name, section)
    elif kind == "rest_api":
        source = _read_rest_api(name, section)
    else:
        raise ConfigurationError(f"{where}.kind = {kind!r} is not one of: {', '.join(KINDS)}.")
    section.done()
    return source


def _read_s3(name: str, section: Section) -> S3Source:
    url = section.required("bucket_url", "s3://data-lake")
    parts = urlsplit(url)
    if parts.scheme != "s3" or not parts.netloc or parts.path.strip("/"):
        raise ConfigurationError(
            f"{section.where}.bucket_url = {url!r} must look like s3://bucket. A folder goes into {section.where}.path."
        )
    credentials = section.section("credentials")
    keys = {
        key: credentials.text(key) or _partner(name, key, credentials)
        for key in ("aws_access_key_id", "aws_secret_access_key")
    }
    header = section.flag("csv_header", True)
    columns = section.names("columns")
    if not header and not columns:
        raise ConfigurationError(
            f"{section.where}.csv_header = false needs {section.where}.columns, "
            "the names of the columns in their order."
        )
    source = S3Source(
        name=name,
        bucket=parts.netloc,
        path=section.template("path", "") or "",
        file_glob=section.text("file_glob", "*") or "*",
        table=section.name("table", "events"),
        columns=columns,
        data_selector=section.text("data_selector"),
        csv_delimiter=section.text("csv_delimiter", ",") or ",",
        csv_header=header,
        max_object_bytes=int(section.number("max_object_bytes", 4 * GIB, 1)),
        allow_empty=section.flag("allow_empty"),
        timeout_s=section.number("timeout_s", 60, 0.1),
        credentials=S3Credentials(
            **keys,
            aws_session_token=credentials.text("aws_session_token"),
            region_name=credentials.text("region_name"),
            endpoint_url=credentials.text("endpoint_url"),
            profile_name=credentials.text("profile_name"),
        ),
    )
    if len(source.csv_delimiter) != 1:
        raise ConfigurationError(f"{section.where}.csv_delimiter = {source.csv_delimiter!r} must be one character.")
    credentials.done()
    return source


def _partner(name: str, key: str, credentials: Section) -> str | None:
    if not {"aws_access_key_id", "aws_secret_access_key"} & set(credentials.keys()):
        # neither half is there: boto3's own chain (profile, instance role) is meant
        return None
    return _secret(name, key, credentials)


def _secret(name: str, key: str, section: Section) -> str:
    value = section.text(key) or dlt_secret(name, section.where.rpartition(".")[2], key)
    if value is None:
        raise ConfigurationError(
            f"{section.where}.{key} is missing. Put it into .dlt/secrets.toml "
            f"(see .dlt/example.secrets.toml) or set {env_name(section.where, key)}."
        )
    register_secrets([value])
    return value


def _read_postgres(name: str, section: Section) -> PostgresSource:
    schema = section.text("schema", "public") or "public"
    tables = section.section("tables")
    parsed = tuple(_read_table(tables.section(key), key, schema) for key in sorted(tables.keys()))
    if not parsed:
        raise ConfigurationError(
            f"{section.where}.tables is missing. Add for example "
            f'[{section.where}.tables.transactions] with table = "transactions".'
        )
    return PostgresSource(
        name=name,
        tables=parsed,
        allow_empty=section.flag("allow_empty"),
        timeout_s=section.number("timeout_s", 600, 0.1),
        credentials=_read_postgres_credentials(name, section.raw("credentials"), section.where),
    )


def _read_table(section: Section, key: str, schema: str) -> PostgresTable:
    if not NAME.fullmatch(key):
        raise ConfigurationError(
            f"[{section.where}]: {key!r} is not a table name for the warehouse. Use lower-case "
            "letters, digits and underscores; the source's own name goes into `table`."
        )
    table = PostgresTable(
        name=key,
        table=section.template("table", key) or key,
        schema=section.text("schema", schema) or schema,
        where=section.template("where"),
        reference=section.flag("reference"),
        columns=section.names("columns"),
    )
    section.done()
    return table


def _read_postgres_credentials(name: str, values: Any, where: str) -> PostgresCredentials:
    native = {NATIVE: values} if isinstance(values, str) else values or {}
    section = Section(native, f"{where}.credentials")
    url = urlsplit(section.text(NATIVE) or "")
    driver = section.text("drivername", url.scheme) or "postgresql"
    if driver.partition("+")[0] not in ("postgresql", "postgres"):
        raise ConfigurationError(f"{section.where}.drivername = {driver!r} must be postgresql.")
    query = dict(parse_qsl(url.query))
    query |= {key: str(value) for key, value in section.mapping("query").items()}
    password = section.text("password") or unquote(url.password or "") or None
    if password is None and "passfile" not in query:
        password = _secret(name, "password", section)
    credentials = PostgresCredentials(
        host=section.text("host") or url.hostname or section.required("host", "db.example.com"),
        port=int(section.number("port", url.port or 5432, 1)),
        database=section.text("database") or url.path.strip("/") or section.required("database", "shop"),
        username=section.text("username") or unquote(url.username or "") or section.required("username", "loader"),
        password=password,
        query=query,
    )
    section.done()
    return credentials


def _read_rest_api(name: str, section: Section) -> RestApiSource:
    params = {
        key: check_template(str(value), f"{section.where}.params.{key}")
        for key, value in section.mapping("params").items()
    }
    fallback = section.text("fallback_url")
    return RestApiSource(
        name=name,
        base_url=_http_url(section, "base_url", section.required("base_url", "https://host/v1")),
        fallback_url=_http_url(section, "fallback_url", fallback) if fallback else None,
        path=section.template("path", "") or "",
        params=params,
        headers={key: str(value) for key, value in section.mapping("headers").items()},
        data_selector=section.text("data_selector"),
        table=section.name("table", "events"),
        paginator=_read_paginator(section.raw("paginator"), section.where),
        auth=_read_auth(name, section.raw("auth"), section.where),
        timeout_s=section.number("timeout_s", 30, 0.1),
        total_timeout_s=section.number("total_timeout_s", 600, 0.1),
        max_page_bytes=int(section.number("max_page_bytes", 256 * MIB, 1)),
        allow_empty=section.flag("allow_empty"),
    )


def _read_paginator(value: Any, where: str) -> dict[str, Any]:
    options: dict[str, Any] = dict(value or {}) if not isinstance(value, str) else {"type": value}
    options.setdefault("type", "auto" if options else "single_page")
    kind = options["type"]
    if kind not in PAGINATORS:
        raise ConfigurationError(f"{where}.paginator.type = {kind!r} is not one of: {', '.join(PAGINATORS)}.")
    for key in PAGINATORS[kind]:
        if key in options:
            options[key] = int(Section(options, f"{where}.paginator").number(key, 0, 0))
    return options


def _read_auth(name: str, value: Any, where: str) -> dict[str, Any]:
    options = {"type": value} if isinstance(value, str) else dict(value or {})
    if not options:
        return {}
    kind = options.setdefault("type", "bearer")
    if kind not in AUTHS:
        raise ConfigurationError(f"{where}.auth.type = {kind!r} is not one of: {', '.join(AUTHS)}.")
    for key in AUTHS[kind]:
        options[key] = options.get(key) or _secret(name, key, Section({}, f"{where}.auth"))
    return options


def _http_url(section: Section, key: str, value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        raise ConfigurationError(
            f"{section.where}.{key} must be an http or https URL without a user in it; "
            f"credentials go into {section.where}.auth."
        )
    return value
