"""Reading what vLLM says, and seeing that it moves."""

import pytest

from maas_operator.watch.engines import Engine, Progress, followed, read
from tests.unit.watch.vllm import metrics


def test_the_figures_are_found_among_all_others() -> None:
    text = metrics(running=3.0, waiting=2.0, kv_cache="0.25", prompt="1.234e+06", generation=7, ended=4)
    assert read(text) == Engine(3, 2, 0.25, (1_234_000, 7, 8))


def test_the_engines_of_a_process_are_taken_together() -> None:
    text = metrics(running=[1, 2], waiting=[0, 5], kv_cache=[0.1, 0.9], prompt=[1, 2], generation=[3, 4], ended=[5, 6])
    assert read(text) == Engine(3, 5, 0.9, (3, 7, 22))


def test_another_order_does_not_matter() -> None:
    lines = metrics(running=1, waiting=2, kv_cache=0.5, prompt=3, generation=4, ended=5).splitlines()
    assert read(b"\n".join([b"# begin", *reversed(lines)])) == Engine(1, 2, 0.5, (3, 4, 10))


def test_the_last_line_may_lack_its_end() -> None:
    text = metrics(running=1, ended=5)
    assert read(text[: text.index(b"# TYPE vllm:time_to_first") - 1]).done[2] == 10


@pytest.mark.parametrize("figure", ["running", "waiting", "kv_cache", "prompt", "generation", "ended"])
def test_a_figure_that_is_missing_is_named(figure: str) -> None:
    with pytest.raises(ValueError, match="there is no vllm:"):
        read(metrics(**{figure: None}))


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-1", "many", "", "1e999"])
def test_what_is_no_figure_is_not_gone_by(value: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read(metrics(running=value))


@pytest.mark.parametrize(
    "text", [b"", b"ok", b"\n" * 100, b"vllm:num_requests_running{", b"\nvllm:num_requests_running{ 1\n"]
)
def test_what_is_no_metrics_at_all(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read(text)


def engine(*done: float, kv: float = 0.1, running: int = 1) -> Engine:
    prompt, generation, ended = (*done, 0.0, 0.0, 0.0)[:3]
    return Engine(running, 0, kv, (prompt, generation, ended))


def looks(*engines: tuple[Engine, bool]) -> list[float | None]:
    """Since when it is stuck, after each look; one look a second."""
    known: Progress | None = None
    since = []
    for now, (each, has_requests) in enumerate(engines):
        known = followed(known, each, has_requests, float(now))
        since.append(known.since)
    return since


def test_m9_an_engine_that_has_requests_and_does_nothing_is_stuck_since_it_was_seen_so_first() -> None:
    assert looks((engine(5), True), (engine(5), True), (engine(5), True)) == [0, 0, 0]


@pytest.mark.parametrize("moved", [engine(6), engine(5, 1), engine(5, 0, 1), engine(5, kv=0.2), engine(0)])
def test_m9_whatever_moves_is_progress(moved: Engine) -> None:
    """A token, an end, a part of a long prompt in the cache; or it was restarted."""
    assert looks((engine(5), True), (engine(5), True), (moved, True), (moved, True)) == [0, 0, 2, 2]


def test_m9_an_engine_without_requests_is_not_stuck() -> None:
    assert looks((engine(5), True), (engine(5), False), (engine(5), True)) == [0, None, 2]
    assert looks((engine(5), False), (engine(5), True), (engine(5), True)) == [None, 1, 1]


def test_it_worked_where_more_is_done_than_before() -> None:
    first = followed(None, engine(5, 5, 5), False, 0)
    assert not first.worked(None)
    assert not followed(first, engine(5, 5, 5, kv=0.3), False, 1).worked(first)
    assert followed(first, engine(5, 6, 5), False, 1).worked(first)
    assert not followed(first, engine(1, 0, 0), False, 1).worked(first), "it was restarted"
