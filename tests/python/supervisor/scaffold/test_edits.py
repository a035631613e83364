"""Edits of people's own files leave everything that is there as it is, or are not made at all."""

from __future__ import annotations

import pytest
import yaml

from supervisor.scaffold.edits import insert_feed, insert_item

PROJECT = """\
# mine
vars:
  load_date: null
  # what is published
  entities: [events]   # their order
  checks: []
"""
BLOCK = """\
vars:
  entities:
    - events   # the first

    # nothing more yet
  other: 1
"""
SOURCES = """\
sources:
  - name: raw_a
    tables:
    - name: one
      description: >
        folded
        text

    # the rest is not used
  - name: raw_b
    tables:
      - {name: two, description: kept}  # as it is
"""


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        (PROJECT, PROJECT.replace("[events]", "[events, orders]")),
        (PROJECT.replace("[events]", "[]"), PROJECT.replace("[events]", "[orders]")),
        (BLOCK, BLOCK.replace("first\n", "first\n    - orders\n")),
        (BLOCK.replace("\n\n    # nothing more yet\n  other: 1\n", ""), "vars:\n  entities:\n    - events   # the first\n    - orders\n"),
    ],
)  # fmt: skip
def test_an_item_is_added_and_no_other_character_changes(text: str, changed: str) -> None:
    assert insert_item(text, ("vars", "entities"), "orders") == changed


@pytest.mark.parametrize("place", [0, 1])
def test_an_item_of_several_lines_goes_behind_the_last_one(place: int) -> None:
    item = "name: new\ndescription: added"
    changed = insert_item(SOURCES, ("sources", place, "tables"), item)
    assert changed is not None
    assert [line for line in changed.splitlines() if line not in SOURCES.splitlines()] == [
        "    - name: new" if place == 0 else "      - name: new",
        "      description: added" if place == 0 else "        description: added",
    ]
    expected = yaml.safe_load(SOURCES)
    expected["sources"][place]["tables"].append({"name": "new", "description": "added"})
    assert yaml.safe_load(changed) == expected


@pytest.mark.parametrize(
    "text",
    [
        "vars:\n  checks: []\n",
        "vars:\n  entities:\n",
        "vars: {entities: events}\n",
        "- no mapping\n",
        "vars: [unclosed\n",
    ],
)
def test_what_cannot_be_edited_for_sure_is_not_edited(text: str) -> None:
    assert insert_item(text, ("vars", "entities"), "orders") is None


def test_a_mapping_is_not_squeezed_into_a_list_on_one_line() -> None:
    assert insert_item("models: [{name: a}]\n", ("models",), "name: b\ndescription: c") is None


@pytest.mark.parametrize(
    ("feeds", "changed"),
    [("[]", "['c']"), ("['a']", "['a', 'c']"), ("[\n    'a',\n    'b',\n]", "[\n    'a',\n    'b', 'c']")],
)
def test_a_feed_is_added_at_the_end(feeds: str, changed: str) -> None:
    sql = "{{{{ checked_records('orders', feeds={}, references=['r']) }}}}\n"
    assert insert_feed(sql.format(feeds), "c") == sql.format(changed)


def test_a_model_without_a_list_of_feeds_is_left_alone() -> None:
    assert insert_feed("select * from mine", "c") is None
