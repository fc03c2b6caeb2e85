"""M22: at most 30 keys an account, tags unique, the older key wins."""

from maas_operator.api.seen import ApiKeySeen, Manifest
from maas_operator.api.settings import Settings
from maas_operator.decide import decide_api_key
from tests.unit.decide.facts import EARLIER, NOW


def key(name: str, tag: str | None = None, minute: int = 0, **metadata: str) -> Manifest:
    created = f"2026-01-01T00:{minute:02}:00Z"
    return {
        "metadata": {
            "name": name,
            "namespace": "team-a",
            "uid": name,
            "generation": 1,
            "creationTimestamp": created,
            **metadata,
        },
        "spec": {"tag": tag or name, "description": "d", "sha256": "0" * 64},
    }


def verdict(asked: Manifest, *account: Manifest) -> tuple[str, str, str]:
    status = decide_api_key(ApiKeySeen(asked, [asked, *account]), Settings(), NOW).status
    accepted = next(each for each in status["conditions"] if each["type"] == "Accepted")
    ready = next(each for each in status["conditions"] if each["type"] == "Ready")
    assert ready["status"] == accepted["status"]
    assert [each["status"] for each in status["conditions"] if each["type"] == "Stalled"] == ["True"] * (
        ready["status"] == "False"
    )
    return accepted["status"], accepted["reason"], accepted["message"]


def test_m22_a_key_counts() -> None:
    assert verdict(key("a"), key("b"))[:2] == ("True", "Accepted")


def test_m22_a_tag_belongs_to_the_older_key() -> None:
    old, new = key("old", "ci", 1), key("new", "ci", 2)
    assert verdict(old, new)[0] == "True"
    assert verdict(new, old) == (
        "False",
        "TagTaken",
        "tag ci belongs to ApiKey old of account team-a: make a key of another tag",
    )


def test_m22_of_two_keys_of_one_second_the_first_by_name_wins() -> None:
    assert verdict(key("a", "ci"), key("b", "ci"))[0] == "True"
    assert verdict(key("b", "ci"), key("a", "ci"))[0] == "False"


def test_m22_the_thirty_first_key_is_one_too_many() -> None:
    thirty = [key(f"k{number:02}", minute=number) for number in range(30)]
    assert verdict(thirty[-1], *thirty[:-1])[0] == "True"
    assert verdict(key("late", minute=40), *thirty)[:2] == ("False", "TooManyKeys")
    assert verdict(key("early", minute=0), *thirty)[0] == "True"


def test_m22_a_key_that_does_not_count_takes_nobodys_place() -> None:
    thirty = [key(f"k{number:02}", minute=number) for number in range(29)]
    refused = key("twin", "k00", minute=30)
    assert verdict(key("late", minute=40), *thirty, refused)[0] == "True"


def test_m22_a_key_that_is_being_deleted_counts_no_longer() -> None:
    old = key("old", "ci", 1, deletionTimestamp="2026-01-01T00:00:00Z")
    assert verdict(key("new", "ci", 2), old)[0] == "True"


def test_its_status_moves_only_when_the_verdict_does() -> None:
    asked = key("a")
    first = decide_api_key(ApiKeySeen(asked, [asked]), Settings(), EARLIER)
    seen = ApiKeySeen(asked | {"status": first.status}, [asked])
    assert decide_api_key(seen, Settings(), NOW).status == first.status
