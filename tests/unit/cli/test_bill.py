"""M16: the bill, as people and programs read it."""

import csv
import io
import json
from typing import Any

from maas_operator.api.billing import Bill, BillLine, BillMessages, BillTokens, BillTotal
from maas_operator.cli.bill import COLUMNS, heading, shown

LINE: dict[str, Any] = {
    "account": "team-a",
    "service": "team-a/assistant",
    "pool": "p",
    "flavor": "f",
    "dedicated": False,
}


def bill(**given: Any) -> Bill:
    facts: dict[str, Any] = {
        "month": "2026-11",
        "account": "team-a",
        "until": "2026-12-01T00:00:00Z",
        "final": True,
        "lines": [
            BillLine(**LINE, seconds=5401, prepaid_seconds=1800, price="12.50", currency="EUR", amount="12.50"),
            BillLine(
                **LINE | {"dedicated": True}, seconds=60, prepaid_seconds=0, price="1", currency="EUR", amount="0.00"
            ),
            BillLine(**LINE | {"flavor": "free"}, seconds=1, prepaid_seconds=0),
        ],
        "totals": [BillTotal(account="team-a", currency="EUR", amount="12.50")],
        "notifications": [BillMessages(account="team-a", topic="ops", channel="hook", messages=7)],
        "tokens": [
            BillTokens(account="team-a", service="team-a/assistant", requests=2, prompt_tokens=30, completion_tokens=9)
        ],
    }
    return Bill.model_validate(facts | given)


def test_m16_a_bill_as_a_table() -> None:
    lines = shown(bill(), "table").splitlines()
    assert lines[0] == "Bill of account team-a for 2026-11 (UTC)"
    assert lines[2:4] == [
        "Instances:",
        "ACCOUNT   SERVICE            POOL   FLAVOR    HOURS   PREPAID   PRICE       AMOUNT   CURRENCY",
    ]
    assert [line.split()[-6:] for line in lines[4:7]] == [
        ["f", "1.5003", "0.5000", "12.50", "12.50", "EUR"],
        ["f", "0.0167", "0.0000", "dedicated", "0.00", "EUR"],
        ["free", "0.0003", "0.0000", "-", "-", "-"],
    ]
    assert lines[7:] == [
        "", "Total:", "ACCOUNT   AMOUNT   CURRENCY", "team-a     12.50   EUR",
        "", "Notifications:", "ACCOUNT   TOPIC   CHANNEL   MESSAGES", "team-a    ops     hook             7",
        "", "Tokens:", "ACCOUNT   SERVICE            REQUESTS   PROMPT TOKENS   COMPLETION TOKENS",
        "team-a    team-a/assistant          2              30                   9",
    ]  # fmt: skip


def test_m16_before_it_is_final_a_bill_says_so() -> None:
    assert heading(bill(account=None)) == "Bill of all accounts for 2026-11 (UTC)"
    so_far = bill(final=False, until="2026-11-22T12:00:00Z")
    assert heading(so_far) == "Bill of account team-a for 2026-11 (UTC), so far: until 2026-11-22T12:00:00Z"
    assert heading(bill(final=False)).endswith("not final: it is not known yet of every instance how long it ran")
    assert json.loads(shown(so_far, "json"))["final"] is False


def test_m16_as_csv_all_stands_in_one_table() -> None:
    rows = list(csv.DictReader(io.StringIO(shown(bill(), "csv"))))
    assert tuple(rows[0]) == COLUMNS
    assert [(row["month"], row["item"]) for row in rows] == [
        ("2026-11", item) for item in ("instances",) * 3 + ("total", "notifications", "tokens")
    ]
    assert (rows[0]["hours"], rows[0]["price"], rows[0]["amount"]) == ("1.5003", "12.50", "12.50")
    assert (rows[4]["messages"], rows[5]["promptTokens"]) == ("7", "30")


def test_m16_as_json_money_is_text_and_seconds_are_exact() -> None:
    line = json.loads(shown(bill(), "json"))["lines"][0]
    assert (line["seconds"], line["prepaidSeconds"], line["hours"], line["prepaid"]) == (5401, 1800, "1.5003", "0.5000")
    assert (line["price"], line["amount"], line["currency"]) == ("12.50", "12.50", "EUR")


def test_m16_a_month_in_which_nothing_ran_is_a_bill_too() -> None:
    nothing = bill(lines=[], totals=[], notifications=[], tokens=[])
    assert shown(nothing, "table") == "Bill of account team-a for 2026-11 (UTC)\n"
