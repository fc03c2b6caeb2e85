"""I1: what signs tokens, read from a file, and never told."""

import asyncio
from pathlib import Path

import pytest

from maas_operator.gateway.signing import SigningKey, follow, parse

SECRET = "of-nobody-else-and-of-no-log-" + "x" * 10
GOOD = f'- {{id: "2026-11", secret: {SECRET}}}\n'
WRONG = {
    "": "the list: ",
    "[]": "the list: ",
    SECRET: "the list: ",
    f"- {SECRET}": "0: ",
    f"- {{id: a, secret: {SECRET}}}\n- {{id: a, secret: {SECRET}}}": "same id",
    f"- {{id: a, secret: {SECRET}, secrt: {SECRET}}}": "0.secrt: Extra inputs",
    f"- {{id: '{SECRET} ', secret: {SECRET}}}": "0.id: ",
    "- {id: a, secret: of-nobody-else}": "0.secret: String should have at least 32 characters",
    f"- {{id: a, secret: [{SECRET}]}}": "0.secret: ",
    f"- {{id: a, secret: '{SECRET}}}": "no YAML at line 1",
    f"{SECRET}: {SECRET}: ": "no YAML",
    f"\x00{SECRET}": "no YAML",
}


@pytest.mark.parametrize("text", WRONG)
def test_i1_what_is_wrong_is_said_and_the_secret_is_not(text: str) -> None:
    with pytest.raises(ValueError, match=r".") as wrong:
        parse(text)
    assert WRONG[text] in str(wrong.value)
    assert "of-nobody-else" not in str(wrong.value)


def test_i1_no_key_shows_its_secret() -> None:
    assert SECRET not in repr(parse(GOOD))


async def test_i1_a_file_that_comes_changes_and_goes_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("maas_operator.gateway.signing.INTERVAL", 0.005)
    file = tmp_path / "keys.yaml"
    keys = follow(file)

    async def ids() -> list[str]:
        return [key.id for key in await asyncio.wait_for(anext(keys), 5)]

    async def nothing() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(waiting), 0.05)

    assert await ids() == []
    file.write_text(GOOD)
    assert await ids() == ["2026-11"]
    waiting = asyncio.ensure_future(ids())
    file.write_text(f"- {SECRET}")
    await nothing()
    file.write_text(GOOD)
    await nothing()
    file.write_text(GOOD + f"- {{id: next, secret: {SECRET}}}")
    assert await waiting == ["2026-11", "next"]
    file.unlink()
    assert await ids() == []
    said = capsys.readouterr()
    assert "cannot be read" in said.out + said.err
    assert SECRET not in said.out + said.err


async def test_i1_a_file_that_is_wrong_from_the_start_keeps_nobody_waiting(tmp_path: Path) -> None:
    (tmp_path / "keys.yaml").write_bytes(b"\xff")
    keys: tuple[SigningKey, ...] = await asyncio.wait_for(anext(follow(tmp_path / "keys.yaml")), 5)
    assert keys == ()
