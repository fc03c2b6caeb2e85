"""What this machine needs for reaching packages goes into a build, and nothing else of it."""

from pathlib import Path

from tests.images.network import BUNDLE, mounts, parse_pip_settings, pip_settings


def test_the_environment_wins_over_the_files() -> None:
    listing = "global.timeout='10'\n:env:.timeout='180'\ninstall.retries='2'\nlist.format='columns'\n"
    assert parse_pip_settings(listing) == {"timeout": "180", "retries": "2"}


def test_a_machine_without_settings_hands_none_on() -> None:
    assert pip_settings({}, {}) == ""


def test_only_the_way_to_packages_is_handed_on() -> None:
    settings = {"index-url": "https://packages.example/simple", "target": "/srv/here", "require-virtualenv": "true"}
    assert pip_settings(settings, {}) == "[global]\nindex-url = https://packages.example/simple\n"


def test_certificates_and_folders_have_the_paths_of_the_build() -> None:
    mounted = {BUNDLE: Path("/home/me/ca.pem"), Path("/run/find-links-0"): Path("/home/me/wheels")}
    lines = pip_settings({"cert": "/home/me/ca.pem", "find-links": "/home/me/wheels"}, mounted).splitlines()
    assert lines == ["[global]", f"cert = {BUNDLE}", "find-links = /run/find-links-0"]


def test_apt_sources_are_mounted_where_there_are_any(tmp_path: Path) -> None:
    sources = tmp_path / "sources"
    assert sources not in mounts(tmp_path, sources).values()
    sources.mkdir()
    assert sources in mounts(tmp_path, sources).values()
