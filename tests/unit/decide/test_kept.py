"""What is kept in memory: no more than so much, and never what is no longer good."""

from maas_operator.decide.kept import Kept


def test_the_most_recent_are_kept() -> None:
    made: list[str] = []
    kept: Kept[str, str] = Kept(2)

    def get(key: str) -> str:
        def make() -> str:
            made.append(key)
            return key.upper()

        return kept.get(key, make)

    assert [get(key) for key in "abacab"] == list("ABACAB")
    assert made == ["a", "b", "c", "b"]


def test_what_is_no_longer_good_is_made_anew() -> None:
    kept: Kept[str, int] = Kept(2)
    assert kept.get("a", lambda: 1) == 1
    assert kept.get("a", lambda: 2, good=lambda value: value > 1) == 2
    assert kept.get("a", lambda: 3) == 2
