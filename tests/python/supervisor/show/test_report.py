"""The quality report: promises about what it says, and what no data can make it do."""

from __future__ import annotations

import re
from decimal import Decimal
from html.parser import HTMLParser
from typing import Any

import pytest
from face_samples import REPAIR, endings, escalated, partial, success, with_every_text
from recorded_days import recorded

from supervisor.record.summary import Summary
from supervisor.show.report.data import (
    AnomalyExample,
    AnomalyGroup,
    CorrectionExample,
    CorrectionGroup,
    Example,
    LineagePath,
    Rejection,
    ReportData,
    Score,
)
from supervisor.show.report.page import flow_of_day, flows_by_source, funnel_of, render_report, verdict_of

HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(1)>'\"]]>--></style><svg/onload=alert(1)>"
    "{{ 7*7 }}{% for x in y %}{# c #}\x00\x1b[31m\u202ejavascript:alert(1)\ud800"
)
VOID = {"meta", "link", "img", "br", "hr", "input", "base"}


class Page(HTMLParser):
    """The page as a browser would take it apart: elements, attributes, text, balance."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).replace("\u00a0", " ").split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def data(summary: dict[str, Any] | None = None, text: str | None = None) -> ReportData:
    """Report data with every part in it; `text` stands for every text that data may reach."""
    score = Score("events", "s3", "accuracy", 246_200, 1_000, 0.9796, 0.98, False)
    after = Score("events", "s3", "accuracy", 246_200, 200, 0.97996, 0.98, False, 1)
    payload = text or '{"amount": "1,299.00"}'
    return ReportData(
        summary=Summary.model_validate(success() if summary is None else summary),
        scores=[score, after, Score(text or "events", "all", text or "uniqueness", 10, 0, 1, None, None)],
        rejections=[
            Rejection("api", text or "orphan_user", 70, [Example(text or "page 3", None, payload)]),
            Rejection("s3", text or "amount_unparsable", 900, [Example(text or "part-0.parquet", 2_201, payload)]),
            Rejection("postgres", text or "amount_unparsable", 250),
        ],
        corrections=[
            CorrectionGroup(text or "sign_flipped", text or "amount", 760,
                            [CorrectionExample(text or "evt_1", text or "-19.90", text or "19.90"),
                             CorrectionExample(text or "evt_2", None, "")]),
        ],
        anomalies=[
            AnomalyGroup("amount", text or "purchase", 120, 64.31, Decimal("88.12"),
                         [AnomalyExample("s3", Decimal("892.64"), 9.4)]),
        ],
        lineage=[LineagePath(text or "s3", [text or "data-lake/raw/", "raw_s3", "analytics.events"], 245_000)],
    )  # fmt: skip


def page(summary: dict[str, Any] | None = None, text: str | None = None) -> Page:
    return Page(render_report(data(summary, text)))


def test_the_page_needs_nothing_from_outside() -> None:
    for html in (render_report(data()), render_report(data(text=HOSTILE))):
        parsed = Page(html)
        for tag, attributes in parsed.elements:
            assert tag not in {"script", "link", "img", "iframe", "object", "embed", "base", "form"}
            for name in ("src", "href", "xlink:href", "action", "srcset", "data", "poster"):
                assert (attributes.get(name) or "#").startswith("#"), (tag, attributes)
            assert not any(name.startswith("on") for name in attributes)
        style = html[html.index("<style>") : html.index("</style>")]
        assert "@import" not in style
        assert set(re.findall(r"url\(([^)]*)\)", style)) <= {"#hatch"}
        assert "http" not in style
    policy = next(one for one in parsed.all("meta") if one.get("http-equiv"))
    assert str(policy["content"]).startswith("default-src 'none'")


def test_data_can_neither_add_markup_nor_run_as_a_template() -> None:
    summary = with_every_text(partial(), HOSTILE)
    hostile = render_report(data(summary, HOSTILE))
    calm = page(with_every_text(partial(), "calm"), "calm")
    shape = [tag for tag, _ in Page(hostile).elements if tag not in {"span", "li", "ul", "div", "h3"}]
    assert shape == [tag for tag, _ in calm.elements if tag not in {"span", "li", "ul", "div", "h3"}]
    assert "<script" not in hostile
    assert "{{ 7*7 }}" in hostile
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]", hostile)
    hostile.encode("utf-8")


def test_a_payload_is_shown_as_received_with_its_invisible_characters() -> None:
    text = page(text=HOSTILE).text
    assert "␀␛[31m⟨U+202E⟩javascript:alert(1)⟨U+D800⟩" in text
    assert "<script>alert(1)</script>" in text


def test_a_long_payload_is_cut_with_a_marker() -> None:
    long = ReportData(
        Summary.model_validate(success()), rejections=[Rejection("s3", "x", 1, [Example("f", 1, "y" * 50_000)])]
    )
    html = render_report(long)
    assert "y" * 480 in html
    assert "y" * 481 not in html
    assert "… 49,520 more characters" in html


def test_a_figure_that_missed_its_threshold_reads_below_it() -> None:
    text = page(escalated()).text
    assert "97.996 %" in text
    assert "0.004 points short" in text
    assert "✗ not met" in text
    # not_met scores of single checks as well
    assert "98.00 %" not in text


def test_the_verdict_comes_first_and_says_whether_to_trust_the_numbers() -> None:
    for status, words in {
        "SUCCESS": "You can use this day's numbers.",
        "PARTIAL": "Use this day's numbers with care: they are incomplete.",
        "ESCALATED": "There are no new numbers. What was published before this run is unchanged.",
        "FAILED": "There are no new numbers. What was published before this run is unchanged.",
        "NOTHING_TO_DO": "Nothing had to be done: this day is complete.",
    }.items():
        text = page(endings()[status]).text
        assert words in text
        assert text.index(words) < text.index("Where the records went")


def test_a_success_with_records_unaccounted_for_is_not_to_be_trusted() -> None:
    text = page(success() | {"published": 333_088}).text
    assert "Don't trust these numbers yet" in text
    assert "12 records are unaccounted for" in text


def test_a_success_that_missed_a_criterion_says_so() -> None:
    summary = success()
    summary["criteria"][5] |= {"measured": 2280.0, "met": False}
    summary["exit_code"] = 3
    text = page(summary).text
    assert "goal not met in full" in text
    assert "38 min" in text
    assert "8 min too much" in text


def test_the_funnel_adds_up_in_total_and_by_source() -> None:
    summary = Summary.model_validate(success())
    day = flow_of_day(summary)
    flows = flows_by_source(summary)
    assert day.gap == 0
    assert [flow.gap for flow in flows] == [0, 0, 0]
    assert sum(flow.published for flow in flows) == day.published
    steps = funnel_of(day)
    assert [(step.label, int(step.records)) for step in steps] == [
        ("Collected", 340_000),
        ("Quarantined", 5_100),
        ("Transformed", 334_900),
        ("Duplicates removed", 1_800),
        ("Published", 333_100),
    ]
    for kept, lost, left in (steps[0:3], steps[2:5]):
        assert kept.records - lost.records == left.records
        assert lost.start == pytest.approx(left.width, abs=0.01)
    text = page().text
    assert "340,000 collected = 333,100 published + 5,100 quarantined + 1,800 duplicates" in text
    assert text.count("✓ adds up") == 4


def test_what_an_escalation_holds_back_is_not_called_published() -> None:
    text = page(escalated()).text
    assert "333,100 held back + 5,100 quarantined + 1,800 duplicates" in text
    assert "= Published" not in text


def test_the_repair_command_can_be_copied_from_the_verdict() -> None:
    html = render_report(data(partial()))
    assert html.index(f'<code class="command" tabindex="0">{REPAIR}</code>') < html.index("The goal")


def test_each_remedy_shows_what_it_did() -> None:
    text = page().text
    assert "After remedy 1" in text
    assert "97.96 % 97.996 % +0.04 points" in text


def test_the_most_frequent_reason_comes_first_with_its_sources() -> None:
    text = page().text
    assert text.index("amount_unparsable") < text.index("orphan_user")
    assert "S3 900 · PostgreSQL 250" in text
    assert "part-0.parquet · row 2,201" in text
    rare, frequent = Rejection("s3", "aaa_rare", 1), Rejection("s3", "zzz_frequent", 900)
    text = Page(render_report(ReportData(Summary.model_validate(success()), rejections=[rare, frequent]))).text
    assert text.index("zzz_frequent") < text.index("aaa_rare")


def test_a_correction_shows_before_and_after_and_tells_missing_from_empty() -> None:
    text = page().text
    assert "evt_1 -19.90 19.90" in text
    assert "evt_2 missing empty" in text


def test_the_page_has_landmarks_headings_and_table_headers() -> None:
    parsed = page()
    tags = [tag for tag, _ in parsed.elements]
    assert [tags.count(one) for one in ("main", "h1", "nav", "title")] == [1, 1, 1, 1]
    assert parsed.all("html")[0]["lang"] == "en"
    assert all("scope" in one for one in parsed.all("th"))
    assert all(one.get("aria-hidden") == "true" for one in parsed.all("svg"))
    ids = [str(one["id"]) for _, one in parsed.elements if "id" in one]
    assert len(ids) == len(set(ids))
    targets = {str(one["href"])[1:] for one in parsed.all("a")}
    assert targets <= set(ids)


def test_colour_never_speaks_alone() -> None:
    html = render_report(data(escalated()))
    for words in re.findall(r'<(?:span|strong|dd) class="(?:good|bad|warn)">([^<]*)<', html):
        assert any(sign in words for sign in "✓✗⚠"), words


def test_the_page_follows_the_readers_light_and_the_printer() -> None:
    html = render_report(data())
    assert "prefers-color-scheme: dark" in html
    assert "@media print" in html
    assert 'name="viewport" content="width=device-width, initial-scale=1"' in html


def test_contrast_of_text_is_enough_in_light_and_dark() -> None:
    html = render_report(data())

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    for block in re.findall(r":root \{(.*?)\}", html, re.DOTALL)[:2]:
        colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
        for ink in ("ink", "soft", "good", "warn", "bad", "link"):
            for ground in ("ground", "paper", "code"):
                light, dark = sorted((luminance(colours[ink]), luminance(colours[ground])))[::-1]
                assert (light + 0.05) / (dark + 0.05) >= 4.5, (ink, ground)


def test_the_page_stays_small_whatever_the_run_left() -> None:
    assert len(render_report(data()).encode()) < 100_000
    rejections = [
        Rejection(source, f"reason_{number}", number, [Example("file", row, "x" * 5_000) for row in range(50)])
        for number in range(200)
        for source in ("s3", "api")
    ]
    decision = {"phase": "collect", "observed": "x", "decision": "y", "outcome": "z"}
    summary = success() | {"decisions": [decision] * 5_000}
    html = render_report(ReportData(Summary.model_validate(summary), rejections=rejections))
    assert len(html.encode()) < 300_000
    assert "170 more reasons not shown" in html
    assert "4,800 more decisions not shown" in html


def test_no_credential_reaches_the_page() -> None:
    summary = success()
    summary["sources"]["api"] |= {
        "location": "https://user:canary@host/events?token=canary&day=1",
        "reason": "401 for https://user:canary@host/",
    }
    html = render_report(ReportData(Summary.model_validate(summary)))
    assert "canary" not in html
    assert "day=1" in html


@pytest.mark.parametrize(
    ("name", "changes", "word"),
    [
        ("golden", {}, "✓ Published, goal met"),
        ("golden", {"exit_code": 3}, "⚠ Published, goal not met in full"),
        ("golden", {"published": 333_088}, "✗ Published, sums wrong"),
        ("golden", {"status": "NOTHING_TO_DO"}, "✓ Nothing to do"),
        ("golden", {"status": "FAILED", "exit_code": 1}, "✗ Failed after publishing, failed"),
        ("partial", {}, "⚠ Published in part"),
        ("escalated", {}, "✗ Not published, escalated"),
        ("escalated", {"status": "FAILED", "exit_code": 1}, "✗ Not published, failed"),
    ],
)
def test_the_verdict_follows_from_the_recorded_summary(name: str, changes: dict[str, Any], word: str) -> None:
    verdict = verdict_of(recorded(name, **changes))
    assert f"{verdict.sign} {verdict.word}" == word


def test_a_verdict_gives_the_cause_and_the_goal_in_figures() -> None:
    partial_day = " ".join(verdict_of(recorded("partial")).sentences)
    assert "API could not be collected, so totals are too low." in partial_day
    assert "What is there meets the goal: 13 of 13 criteria met." in partial_day
    held_back = " ".join(verdict_of(recorded("escalated")).sentences)
    assert "transformation failure rate: 1.5%, not < 1%" in held_back
    assert "Recommendation: see what the rejected records have in common" in held_back
