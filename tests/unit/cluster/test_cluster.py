"""What a cluster refuses before it does anything."""

from pathlib import Path

import pytest

from tests.cluster import Cluster, ClusterError
from tests.cluster.settings import Settings, recall


def test_down_never_removes_a_directory_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ClusterError, match=r"holds other things \(thesis\.tex\)"):
        Cluster(39, tmp_path).down()
    assert (tmp_path / "thesis.tex").exists()


def test_the_same_settings_are_taken_again_and_others_refused(tmp_path: Path) -> None:
    file = tmp_path / "cluster.json"
    settings = Settings(7, "node", nodes=2, flags={"kube-apiserver": ["--v=2"]})
    settings.remember(file)
    settings.remember(file)
    assert recall(file) == settings
    with pytest.raises(ClusterError, match=r"other settings .*`down` it first"):
        Settings(7, "api").remember(file)


def test_there_is_no_status_of_no_cluster(tmp_path: Path) -> None:
    status = Cluster(39, tmp_path).status()
    assert status.profile is None
    assert not status.running


@pytest.mark.parametrize(
    ("profile", "nodes", "flags", "said"),
    [
        ("big", 1, {}, "no profile big; there are api, kwok, node"),
        ("node", 3, {}, "3 nodes: profile node takes 1 or 2"),
        ("api", 2, {}, "2 nodes: profile node takes 1 or 2"),
        ("api", 1, {"kubelet": ["--v=2"]}, "flags for kubelet: only etcd, kube-apiserver"),
    ],
)
def test_what_makes_no_sense_is_refused(
    tmp_path: Path, profile: str, nodes: int, flags: dict[str, list[str]], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        Cluster(39, tmp_path).up(profile, nodes, flags=flags)
