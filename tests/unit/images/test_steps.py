"""A failing step tells which, with what status, and shows the end of its log."""

import sys
from pathlib import Path

import pytest

from tests.images.errors import ImageError
from tests.images.steps import run_step


def test_a_step_says_what_it_does_and_for_how_long(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_step("thing: building", 7, [sys.executable, "-c", "print('hello')"], tmp_path / "log")
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "thing: building (usually 7 s)"
    assert said[-1].startswith("thing: building: done in ")
    assert (tmp_path / "log").read_text() == "hello\n"


def test_a_failing_step_shows_the_end_of_its_log(tmp_path: Path) -> None:
    program = "import sys; print(*range(100), sep='\\n'); sys.exit('no space left')"
    with pytest.raises(ImageError) as caught:
        run_step("thing: building", 7, [sys.executable, "-u", "-c", program], tmp_path / "log")
    message = str(caught.value)
    assert message.startswith(f"thing: building: failed with status 1; the whole log is {tmp_path / 'log'}")
    assert message.endswith("no space left")
    assert "    99\n" in message
    assert "    50\n" not in message
