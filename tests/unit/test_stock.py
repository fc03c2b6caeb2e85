"""The catalogue's Job: what it reads, and what it does when Models change meanwhile. tests/chart runs it for real."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from click.testing import CliRunner

from maas_operator.act.answers import ApiError
from maas_operator.act.http import Http
from maas_operator.api.permissions import CATALOGUE_PERMISSIONS
from maas_operator.main import cli
from maas_operator.stock import TRIES, files, read, stock

MODEL = """
apiVersion: maas-operator.io/v1alpha1
kind: Model
metadata: {name: tiny}
spec: {versions: [{name: 4k, source: "hf://acme/tiny", contextLength: 4096}]}
"""
SHIPPED = read([MODEL])


class Refusing:
    """An API server without Models that answers writes with these statuses, one after another, and then accepts."""

    def __init__(self, *statuses: int) -> None:
        self.left = list(statuses)
        self.writes: list[tuple[str, str]] = []

    async def read(self, _: str, query: Mapping[str, str]) -> dict[str, Any]:
        page = {"": "tiny-1", "next": "tiny-2"}[query.get("continue", "")]
        more = {"continue": "next"} if page == "tiny-1" else {}
        return {"items": [{"metadata": {"name": page}, "spec": {}}], "metadata": more}

    async def write(self, method: str, path: str, *_: Any) -> dict[str, Any]:
        self.writes.append((method, path.rpartition("/")[2]))
        if self.left:
            raise ApiError(self.left.pop(0), {"message": "no"})
        return {}


async def stocked(server: Refusing, shipped: Mapping[str, Any] = SHIPPED) -> int:
    return await stock(shipped, cast(Http, server))


async def test_what_changed_meanwhile_is_decided_upon_anew() -> None:
    server = Refusing(409, 409)
    assert await stocked(server) == 0
    assert server.writes == [("PATCH", "tiny")] * 3


async def test_what_changes_all_the_time_is_given_up_as_a_failure() -> None:
    server = Refusing(*[409] * TRIES)
    assert await stocked(server) == 1
    assert len(server.writes) == TRIES


async def test_one_model_that_is_refused_holds_up_no_other() -> None:
    server = Refusing(422)
    two = SHIPPED | {"another": SHIPPED["tiny"] | {"metadata": {"name": "another"}}}
    assert await stocked(server, two) == 1
    assert server.writes == [("PATCH", "another"), ("PATCH", "tiny")]


async def test_the_listing_is_read_to_its_end() -> None:
    server = Refusing()
    own = {name: SHIPPED["tiny"] | {"metadata": {"name": name}} for name in ("tiny-1", "tiny-2")}
    assert await stocked(server, own) == 0
    assert server.writes == [], "both are somebody's own"


class Keeping:
    """An API server that keeps Models, and which permissions it was asked for."""

    def __init__(self) -> None:
        self.models: dict[str, dict[str, Any]] = {}
        self.used: set[str] = set()

    async def read(self, path: str, _: Mapping[str, str]) -> dict[str, Any]:
        self.used.add("list" if path.endswith("/models") else "get")
        return {"items": list(self.models.values()), "metadata": {}}

    async def write(self, method: str, path: str, body: dict[str, Any], *_: Any) -> dict[str, Any]:
        name = path.rpartition("/")[2]
        if method == "DELETE":
            self.used.add("delete")
            return self.models.pop(name)
        self.used |= {method.lower()} | (set() if name in self.models else {"create"})  # of an apply
        self.models[name] = body | {"metadata": body["metadata"] | {"uid": "u", "resourceVersion": "1"}}
        return self.models[name]


async def test_m2_it_uses_each_of_its_permissions_and_no_other() -> None:
    server = Keeping()
    for shipped in (SHIPPED, read([MODEL.replace("4096", "8192")]), {}):
        assert await stock(shipped, cast(Http, server)) == 0
    assert server.models == {}
    (permission,) = CATALOGUE_PERMISSIONS
    assert server.used == set(permission.verbs)


def test_a_mounted_configmap_is_read_once(tmp_path: Path) -> None:
    """As the kubelet lays it out: links into a folder that is replaced as a whole."""
    (tmp_path / "..2026_01_01.yaml").mkdir()
    (tmp_path / "..data").symlink_to("..2026_01_01.yaml")
    (tmp_path / "..2026_01_01.yaml" / "tiny.yaml").write_text(MODEL)
    (tmp_path / "tiny.yaml").symlink_to("..data/tiny.yaml")
    assert files(tmp_path) == [tmp_path / "tiny.yaml"]
    assert files(tmp_path / "tiny.yaml") == [tmp_path / "tiny.yaml"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (MODEL.replace("kind: Model", "kind: ModelService"), "ModelService tiny is no Model"),
        (MODEL.replace("v1alpha1", "v2"), "is no Model"),
        ("- a\n", "'list' object has no attribute"),
        ("{", "expected"),
    ],
)
def test_what_is_no_catalogue_is_said(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "m.yaml").write_text(text)
    refused = CliRunner().invoke(cli, ["catalogue", f"--models={tmp_path}"])
    assert refused.exit_code == 2
    assert words in " ".join(refused.output.replace("│", " ").split())
