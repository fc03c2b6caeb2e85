"""Built once: the cache's folder changes with what the build depends on, and with nothing else."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.cluster import parts
from tests.cluster.parts import PARTS, PROFILES, Part, part_of

GO = "go1.26.0"
PART = Part("tool", "tool", {"tool": "example.com/tool/cmd/tool"}, 1, "example.com/tool", {"main.version": "{version}"})
GO_MOD = "module m\n\nrequire (\n\texample.com/tool v1.2.3\n)\n"


@pytest.fixture(autouse=True)
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "tool").mkdir()
    (tmp_path / "tool" / "go.mod").write_text(GO_MOD)
    (tmp_path / "tool" / "go.sum").write_text("sum")
    monkeypatch.setattr(parts, "MODULES", tmp_path)
    return tmp_path / "tool"


def test_the_same_sources_give_the_same_folder() -> None:
    assert PART.key(GO) == PART.key(GO)
    assert PART.key(GO).startswith("tool-")


def test_another_version_sum_flag_or_compiler_gives_another_folder(modules: Path) -> None:
    keys = {PART.key(GO), PART.key("go1.26.1"), replace(PART, variables={}).key(GO)}
    (modules / "go.sum").write_text("other sum")
    keys.add(PART.key(GO))
    (modules / "go.mod").write_text(GO_MOD.replace("v1.2.3", "v1.2.4"))
    keys.add(PART.key(GO))
    assert len(keys) == 5


def test_the_version_is_said_in_go_mod_alone() -> None:
    assert PART.version == "v1.2.3"
    assert PART.build_flags == ["-trimpath", "-ldflags", "-s -w -X main.version=v1.2.3"]


def test_a_single_require_line_is_read_too(modules: Path) -> None:
    (modules / "go.mod").write_text("module m\n\nrequire example.com/tool v0.1.0\n")
    assert PART.version == "v0.1.0"


def test_every_profile_builds_known_parts_and_every_binary_one_part() -> None:
    assert all(name in PARTS for names in PROFILES.values() for name in names)
    binaries = [binary for part in PARTS.values() for binary in part.packages]
    assert len(binaries) == len(set(binaries))
    assert part_of("kubectl").name == "kubernetes-api"


def test_a_binary_that_no_part_builds_is_refused_with_those_that_are() -> None:
    with pytest.raises(KeyError, match=r"no part builds docker; there are .*kubectl"):
        part_of("docker")


def test_every_pinned_version_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert all(part.version.startswith("v") for part in PARTS.values() if part.versioned)
