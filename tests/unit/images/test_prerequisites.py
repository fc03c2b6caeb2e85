"""A machine that cannot build an image says so, and what to do."""

from tests.images.catalogue import IMAGES
from tests.images.prerequisites import complaints

ENGINE = IMAGES["engine-cpu"]


def test_a_machine_that_can_is_silent() -> None:
    assert complaints(ENGINE, "x86_64", root=True, apt=True, missing=set()) == []


def test_missing_packages_are_no_complaint_where_they_can_be_installed() -> None:
    assert complaints(ENGINE, "x86_64", root=True, apt=True, missing={"buildah"}) == []


def test_missing_packages_are_named_where_they_cannot_be_installed() -> None:
    (line,) = complaints(ENGINE, "x86_64", root=True, apt=False, missing={"mmdebstrap", "buildah"})
    assert line == "install Debian's buildah mmdebstrap, or what equals them"


def test_who_is_not_root_hears_all_at_once() -> None:
    lines = complaints(ENGINE, "x86_64", root=False, apt=True, missing={"buildah"})
    assert [line.partition(":")[0] for line in lines] == [
        "this user is not root, and building images needs root",
        "install Debian's buildah, or what equals them",
    ]


def test_the_engine_names_its_architecture() -> None:
    (line,) = complaints(ENGINE, "aarch64", root=True, apt=True, missing=set())
    assert "x86_64" in line
    assert complaints(IMAGES["operator"], "aarch64", root=True, apt=True, missing=set()) == []
