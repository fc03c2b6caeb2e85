"""`maas-operator fetch` as pods run it: killed at any moment, several at once, asked how far it is."""

import signal
from pathlib import Path

import pytest

from tests.fetch.conftest import MIB, WEIGHTS
from tests.fetch.hub import Hub
from tests.fetch.program import Program
from tests.fetch.test_hub import FOLDER, NEEDED, SOURCE, whole


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_fetch_that_is_killed_leaves_nothing_to_load_and_the_next_goes_on(
    hub: Hub, model: Path, cache: Path, tmp_path: Path, how: signal.Signals
) -> None:
    hub.stop_at[WEIGHTS] = 22 * MIB
    with Program(SOURCE, cache, tmp_path) as first:
        first.until(lambda: first.done() >= 20 * MIB, "20 MiB")
        assert first.progress()["step"] == "Fetching"
        assert first.end(how) in {-signal.SIGKILL, 143}
    assert not (cache / FOLDER).exists(), "an engine finds no folder that is not whole"
    hub.go_on.set()
    with Program(SOURCE, cache, tmp_path) as second:
        assert second.ended() == 0, second.log
    whole(cache, model)
    assert [at for name, at in hub.asked if name == WEIGHTS] == [0, 20 * MIB], "what was there is not fetched again"


def test_of_two_at_once_one_fetches_and_the_other_waits_and_tells_how_far_it_is(
    hub: Hub, model: Path, cache: Path, tmp_path: Path
) -> None:
    hub.stop_at[WEIGHTS] = 12 * MIB
    with Program(SOURCE, cache, tmp_path) as first:
        first.until(hub.stopped.is_set, "a stop in the middle")
        with Program(SOURCE, cache, tmp_path) as second:
            second.until(lambda: second.done() >= 10 * MIB, "how far the first is")
            assert second.progress()["step"] == "Waiting"
            assert second.progress()["total"] == sum((model / name).stat().st_size for name in NEEDED)
            hub.go_on.set()
            assert (first.ended(), second.ended()) == (0, 0)
    whole(cache, model)
    assert sorted(name for name, _ in hub.asked) == NEEDED, "each file was asked for once"


def test_one_that_waits_for_a_fetch_that_is_killed_takes_it_over(
    hub: Hub, model: Path, cache: Path, tmp_path: Path
) -> None:
    hub.stop_at[WEIGHTS] = 12 * MIB
    with Program(SOURCE, cache, tmp_path) as first:
        first.until(hub.stopped.is_set, "a stop in the middle")
        with Program(SOURCE, cache, tmp_path) as second:
            second.until(lambda: second.progress().get("step") == "Waiting", "the other to wait")
            first.end()
            hub.go_on.set()
            assert second.ended() == 0, second.log
    whole(cache, model)


def test_the_last_words_say_why_and_hold_no_token(hub: Hub, cache: Path, tmp_path: Path) -> None:
    hub.token = "hf_secretsecret"
    with Program(SOURCE, cache, tmp_path, HF_TOKEN="hf_ofsomeone") as program:
        assert program.ended() == 1
    assert program.last_words.startswith("acme/tiny is gated: accept its terms at ")
    assert "hf_ofsomeone" not in program.log + program.last_words
