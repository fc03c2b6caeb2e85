"""What is shown, in every form."""

import csv
import io
import json
from datetime import UTC, datetime

import pytest

from maas_operator.api.times import written
from maas_operator.api.usage import UsageLine
from maas_operator.cli import moments, tables, usage
from maas_operator.cli.cluster import explanation
from maas_operator.cli.errors import CliError

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
ROWS: list[tables.Row] = [
    {"service": "team-a/assistant", "promptTokens": 1200, "firstTokenMs": None},
    {"service": "=cmd|' /C calc'!A0", "promptTokens": 7, "firstTokenMs": 310},
]
COLUMNS = ("service", "promptTokens", "firstTokenMs")


def test_a_table_for_people() -> None:
    assert tables.render(COLUMNS, ROWS, "table") == (
        "SERVICE              PROMPT TOKENS   FIRST TOKEN MS\n"
        "team-a/assistant              1200   -\n"
        "=cmd|' /C calc'!A0               7   310\n"
    )
    assert tables.render(("tag",), [], "table") == "TAG\n"


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert tables.render(("tag",), [{"tag": "a\x1b[31m\nb"}], "table") == "TAG\na?[31m?b\n"


def test_csv_that_a_spreadsheet_may_open() -> None:
    text = tables.render(COLUMNS, ROWS, "csv")
    assert list(csv.reader(io.StringIO(text))) == [
        ["service", "promptTokens", "firstTokenMs"],
        ["team-a/assistant", "1200", ""],
        ["'=cmd|' /C calc'!A0", "7", "310"],
    ]


def test_json_for_programs() -> None:
    assert json.loads(tables.render(COLUMNS, ROWS, "json")) == ROWS


def test_usage_shows_totals_and_means() -> None:
    line = UsageLine(
        service="a/b", requests=4, answered=2, prompt_tokens=10, completion_tokens=5, first_tokens=1,
        first_token_ms=300, duration_ms=3001,
    )  # fmt: skip
    row = usage.row(line)
    assert (row["totalTokens"], row["firstTokenMs"], row["durationMs"]) == (15, 300, 1500)
    assert usage.row(UsageLine(requests=1))["firstTokenMs"] is None


def test_usage_asks_for_ones_own_service_by_its_name() -> None:
    asked = usage.question("team-a", None, "assistant", "24h", None, "key, day", NOW)
    assert asked == {
        "account": "team-a",
        "service": "team-a/assistant",
        "from": "2026-01-30T12:00:00Z",
        "by": "key,day",
    }
    shared = usage.question("team-a", "ci", "team-b/shared", "2026-01-01", "2026-01-02T00:00:00+02:00", "day", NOW)
    assert (shared["service"], shared["from"], shared["to"]) == (
        "team-b/shared", "2026-01-01T00:00:00Z", "2026-01-01T22:00:00Z",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("account", "service", "since", "by", "words"),
    [
        ("a", None, "yesterday", "day", "--since yesterday is no time: write a duration"),
        ("a", None, "1d", "colour", "--by colour: usage can be summed up by account, key, service"),
        ("a", None, "1d", ",", "--by is empty: name some of account"),
        (None, "assistant", "1d", "day", "with --all-accounts, write NAMESPACE/assistant"),
    ],
)
def test_what_cannot_be_asked_is_told(account: str, service: str, since: str, by: str, words: str) -> None:
    with pytest.raises(CliError, match=words.replace("(", r"\(")):
        usage.question(account, None, service, since, None, by, NOW)


def test_durations_and_times() -> None:
    assert written(moments.after("90m", NOW, "--x")) == "2026-01-31T13:30:00Z"
    assert written(moments.before("2w", NOW, "--x")) == "2026-01-17T12:00:00Z"
    assert written(moments.before("2026-01-31T12:00:00Z", NOW, "--x")) == "2026-01-31T12:00:00Z"
    for move in (moments.before, moments.after):
        with pytest.raises(CliError, match="--x 999999w is no time that a calendar has: write a duration"):
            move("999999w", NOW, "--x")


def test_m22_a_quotas_refusal_is_no_missing_right() -> None:
    over = 'apikeys.maas-operator.io "c" is forbidden: exceeded quota: maas-account, requested: count/apikeys=1'
    assert explanation("make key c", 403, over).endswith(
        "delete what is not needed, or ask the platform's team for more"
    )
    young = (
        'apikeys.maas-operator.io "c" is forbidden: status unknown for quota: maas-account, resources: count/apikeys'
    )
    assert explanation("make key c", 403, young).endswith("counts what is new to it within 5 minutes: try again then")


def test_a_refusal_says_what_to_do() -> None:
    assert explanation("delete key ci", 403, "apikeys is forbidden") == (
        "cannot delete key ci: apikeys is forbidden; ask the platform's team for the right to it"
    )
