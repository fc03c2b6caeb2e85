"""Questions to the ledger, and what Prometheus is told."""

import json

import pytest
from prometheus_client import generate_latest

from maas_operator.api.usage import DURATION_BOUNDS, FIRST_TOKEN_BOUNDS, Batch, Latencies, UsageRow
from maas_operator.ledger.book import Question
from maas_operator.ledger.meters import Meters
from maas_operator.ledger.questions import UnclearQuestionError, line, question


def test_a_question() -> None:
    query = {"account": "a", "from": "2026-01-31T12:00:00Z", "to": "2026-01-31T14:00:00+02:00", "by": "key,day,key"}
    assert question(query) == Question(account="a", start=1_769_860_800, end=1_769_860_800, by=("key", "day"))


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"acount": "a"}, "unknown: acount; there are account, by, from, key, service, to"),
        ({"from": "now"}, "from=now is no time"),
        ({"to": "2026-01-31T12:00:00"}, "lacks its time zone"),
        ({"by": "colour"}, "by=colour: usage can be grouped by account"),
    ],
)
def test_an_unclear_question_is_refused(query: dict[str, str], words: str) -> None:
    with pytest.raises(UnclearQuestionError, match=words):
        question(query)


def test_a_line_of_the_answer() -> None:
    shown = json.loads(line({"key": "ci", "day": 1_769_817_600, "minute": 1_769_860_800, "requests": 3}))
    assert (shown["key"], shown["day"], shown["minute"]) == ("ci", "2026-01-31", "2026-01-31T12:00Z")
    assert (shown["requests"], shown["promptTokens"], "account" in shown) == (3, 0, False)


def test_prometheus_sees_tokens_and_histograms() -> None:
    meters = Meters()
    usage = UsageRow(account="a", key="ci", service="a/s", minute=60, requests=2, prompt_tokens=10, completion_tokens=4)
    first, duration = [0] * (len(FIRST_TOKEN_BOUNDS) + 1), [0] * (len(DURATION_BOUNDS) + 1)
    first[3], duration[-1] = 2, 1
    latencies = Latencies(
        service="a/s", first_token=first, first_token_ms=500, duration=duration, duration_ms=2_000_000
    )
    batch = Batch(origin="pod", log="log", start=0, end=1, rows=[usage], latencies=[latencies])
    meters.count(batch)
    meters.count(batch)
    text = generate_latest(meters.registry).decode()
    assert 'maas_usage_tokens_total{account="a",kind="prompt",service="a/s"} 20.0' in text
    assert 'maas_usage_requests_total{account="a",service="a/s"} 4.0' in text
    assert 'maas_time_to_first_token_seconds_bucket{le="0.2",service="a/s"} 0.0' in text
    assert 'maas_time_to_first_token_seconds_bucket{le="0.3",service="a/s"} 4.0' in text
    assert 'maas_time_to_first_token_seconds_count{service="a/s"} 4.0' in text
    assert 'maas_time_to_first_token_seconds_sum{service="a/s"} 1.0' in text
    assert 'maas_request_duration_seconds_bucket{le="1800.0",service="a/s"} 0.0' in text
    assert 'maas_request_duration_seconds_bucket{le="+Inf",service="a/s"} 2.0' in text
