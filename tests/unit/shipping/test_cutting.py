"""What a stretch of the access log comes to."""

from hypothesis import given
from hypothesis import strategies as st

from maas_operator.api.usage import DURATION_BOUNDS, FIRST_TOKEN_BOUNDS
from maas_operator.gateway.shipping.cutting import Cut, LogName, cut
from maas_operator.gateway.shipping.lines import read
from tests.unit.shipping.lines import REQUEST, line, total

NAME = LogName("pod", "log")
LIMIT = 4096


def made(data: bytes, last: bool = False, start: int = 0) -> Cut:
    found = cut(NAME, start, data, last, LIMIT)
    assert found
    return found


def test_requests_of_one_key_service_and_minute_are_one_row() -> None:
    other_minute = REQUEST["started"] + 60_000
    batch = made(line(1) + line(2) + line(3, key="web") + line(4, started=other_minute)).batch
    assert [(row.key, row.minute, row.requests, row.prompt_tokens) for row in batch.rows] == [
        ("ci", 1_769_860_800, 2, 20),
        ("web", 1_769_860_800, 1, 10),
        ("ci", 1_769_860_860, 1, 10),
    ]


def test_the_minute_is_the_one_in_which_the_answer_ended() -> None:
    (row,) = made(line(1, duration=60_001)).batch.rows
    assert row.minute == 1_769_860_860


def test_a_shared_service_is_named_with_its_own_account_and_paid_by_the_caller() -> None:
    (row,) = made(line(1, account="team-b")).batch.rows
    assert (row.account, row.service) == ("team-b", "team-a/assistant")


def test_a_refused_request_counts_as_a_request_and_a_failure_without_tokens() -> None:
    refused = line(1, code=429, flags="RL", upstream=None, prompt_tokens=None, completion_tokens=None, duration=1)
    (row,) = made(refused).batch.rows
    assert (row.requests, row.answered, row.failures, row.prompt_tokens, row.duration_ms) == (1, 0, 1, 0, 0)


def test_tokens_of_a_client_that_hung_up_count_and_are_no_failure_of_the_service() -> None:
    (row,) = made(line(1, flags="DC", completion_tokens=3)).batch.rows
    assert (row.failures, row.completion_tokens) == (0, 3)


def test_an_answer_that_broke_off_is_a_failure() -> None:
    (row,) = made(line(1, flags="UC")).batch.rows
    assert row.failures == 1


def test_time_to_first_token_is_counted_for_streams_alone() -> None:
    batch = made(line(1, stream=True, first_token=REQUEST["started"] + 320) + line(2)).batch
    (row,) = batch.rows
    assert (row.first_tokens, row.first_token_ms, row.duration_ms, row.answered) == (1, 320, 3000, 2)
    (latencies,) = batch.latencies
    assert latencies.first_token[FIRST_TOKEN_BOUNDS.index(0.5)] == 1
    assert sum(latencies.first_token) == 1
    assert latencies.duration[DURATION_BOUNDS.index(2.0)] == 2


def test_a_line_without_its_end_waits_until_nothing_will_follow() -> None:
    data = line(1) + line(2)[:-1]
    assert made(data).batch.end == len(line(1))
    assert total(made(data, last=True).batch.rows, "requests") == 2
    assert cut(NAME, 0, line(2)[:-1], False, LIMIT) is None


def test_garbage_longer_than_any_line_is_stepped_over() -> None:
    found = made(b"x" * LIMIT, start=7)
    assert (found.batch.start, found.batch.end, found.broken, found.batch.rows) == (7, 7 + LIMIT // 2, 1, [])


def test_a_line_behind_one_that_was_cut_off_is_found() -> None:
    """Envoy was killed in the middle of a line, or the disk was full; the next line follows without a break."""
    for length in range(1, len(line(1)) - 1):
        found = read(line(1)[:length] + line(2, path="/odd{"))
        assert [each.request_id for each in found.lines] == ["request-2"], length
        assert found.broken == 1


def test_lines_between_which_only_the_break_is_missing_both_count() -> None:
    found = read(line(1)[:-1] + line(2))
    assert [each.request_id for each in found.lines] == ["request-1", "request-2"]


@given(st.lists(st.integers(1, 300), min_size=10, max_size=40))
def test_a_line_behind_any_number_that_were_cut_off_is_found(lengths: list[int]) -> None:
    data = b"".join(line(number)[:length] for number, length in enumerate(lengths)) + line(999, prompt_tokens=7)
    start, tokens = 0, 0
    while start < len(data):
        batch = made(data[start : start + LIMIT], start=start).batch
        start, tokens = batch.end, tokens + total(batch.rows, "prompt_tokens")
    assert tokens == 7


def test_a_path_that_looks_like_a_line_is_no_line() -> None:
    forged = line(9).decode().strip()
    found = read(line(1, path=f"/{forged}")[:-3])
    assert found.lines == ()


def test_numbers_and_names_that_no_gateway_writes_are_broken_lines() -> None:
    data = line(1, prompt_tokens=10**13) + line(2, account="a" * 254) + line(3, key="a\0b") + line(4, started=10**18)
    assert (read(data).lines, read(data).broken) == ((), 4)


@given(st.binary(max_size=300), st.booleans())
def test_no_bytes_whatsoever_stop_it(data: bytes, last: bool) -> None:
    found = cut(NAME, 0, data, last, LIMIT)
    assert found is None or 0 < found.batch.end <= len(data)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=12))
def test_the_sum_is_the_same_wherever_it_is_cut(parts: list[int]) -> None:
    data = b"".join(line(number, prompt_tokens=number) for number in range(sum(parts)))
    start, tokens = 0, 0
    for lines in parts:
        end = start + len(b"".join(data[start:].splitlines(keepends=True)[:lines]))
        batch = made(data[start:end], start=start).batch
        tokens, start = tokens + total(batch.rows, "prompt_tokens"), batch.end
    assert (start, tokens) == (len(data), sum(range(sum(parts))))
