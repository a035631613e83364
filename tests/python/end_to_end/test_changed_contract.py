"""A contract that gets another type after a day was published under the old one."""

from __future__ import annotations

from pathlib import Path

from end_to_end.helpers import orchestrate, rows

DAYS = ("2025-11-16", "2025-11-17")
CONFIG = """
[sources.shop]
kind = "s3"
bucket_url = "file://{folder}/in"
path = "{{date:%Y-%m-%d}}/"
table = "orders"
"""


def test_a_value_is_never_squeezed_into_the_type_of_a_table_that_was_there(tmp_path: Path) -> None:
    assert orchestrate(tmp_path, "init", ".").exit_code == 0
    for day, cents in zip(DAYS, ("", ".60"), strict=True):
        records = "".join(f"{day}-{number},{day}T10:00:00Z,{number}{cents}\n" for number in range(20))
        path = tmp_path / "in" / day / "orders.csv"
        path.parent.mkdir(parents=True)
        path.write_text("order_id,ordered_at,total\n" + records)
    with (tmp_path / ".dlt" / "config.toml").open("a", encoding="utf-8") as config:
        config.write(CONFIG.format(folder=tmp_path))
    assert orchestrate(tmp_path, "map", "shop", "--date", DAYS[0]).exit_code == 0
    assert orchestrate(tmp_path, "--date", DAYS[0], "--json").exit_code == 0
    contract = tmp_path / "models" / "marts" / "_orders__models.yml"
    before = contract.read_text()
    assert before.count("data_type: bigint\n        description: Total.") == 1
    contract.write_text(before.replace("data_type: bigint\n", "data_type: numeric(18, 2)\n"))
    refused = orchestrate(tmp_path, "--date", DAYS[1], "--json")
    assert refused.exit_code == 4, refused.errors
    assert "total as BIGINT, and its contract as DECIMAL(18,2)" in refused.summary["escalation"]["reason"]
    assert rows(tmp_path, "select count(*), sum(total) from analytics.orders") == [(20, 190)]
