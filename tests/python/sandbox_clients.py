"""Clients for the sandbox's servers, from the environment that it prints."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import boto3
import psycopg2
from botocore.config import Config


def s3_client(env: dict[str, str], *, read_timeout_s: float = 1, **keys: str) -> Any:
    section = "SOURCES__S3__CREDENTIALS__"
    settings = {
        "endpoint_url": env[f"{section}ENDPOINT_URL"],
        "aws_access_key_id": env[f"{section}AWS_ACCESS_KEY_ID"],
        "aws_secret_access_key": env[f"{section}AWS_SECRET_ACCESS_KEY"],
        "region_name": env[f"{section}REGION_NAME"],
    }
    config = Config(retries={"total_max_attempts": 1}, read_timeout=read_timeout_s)
    return boto3.client("s3", config=config, **(settings | keys))


def s3_files(env: dict[str, str]) -> dict[str, bytes]:
    client = s3_client(env)
    listed = client.list_objects_v2(Bucket="data-lake", Prefix="raw/2025/11/16/")
    return {
        entry["Key"]: client.get_object(Bucket="data-lake", Key=entry["Key"])["Body"].read()
        for entry in listed.get("Contents", [])
    }


@contextlib.contextmanager
def postgres(env: dict[str, str]) -> Iterator[psycopg2.extensions.cursor]:
    section = "SOURCES__POSTGRES__CREDENTIALS__"
    connection = psycopg2.connect(
        host=env[f"{section}HOST"],
        port=env[f"{section}PORT"],
        dbname=env[f"{section}DATABASE"],
        user=env[f"{section}USERNAME"],
        password=env[f"{section}PASSWORD"],
    )
    with contextlib.closing(connection), connection.cursor() as cursor:
        yield cursor
