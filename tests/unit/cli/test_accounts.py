"""`kubectl maas account`: what an account consists of, which pools take it, and what is listed."""

from datetime import UTC, datetime
from typing import Any

import pytest
import yaml

from maas_operator.api.apikey import MAX_KEYS_PER_ACCOUNT
from maas_operator.api.names import ANNOTATION_DEFAULT_KEY_LIMITS, ANNOTATION_FROZEN, LABEL_MANAGED_BY
from maas_operator.cli import accounts, bindings, poolaccess
from maas_operator.cli.accounts import Account
from maas_operator.cli.errors import CliError
from maas_operator.cli.needed import Manifest
from maas_operator.cli.quotas import quota_of
from maas_operator.cli.subjects import Subject
from maas_operator.gateway.gather import gather

KEYS = "count/apikeys.maas-operator.io"
SERVICES = "count/modelservices.maas-operator.io"
ROLES = bindings.Roles("maas", frozenset(), "maas-system")
CREATED = "2026-01-31T12:00:00Z"


def pool(name: str, accounts_: str | None) -> Manifest:
    spec: dict[str, Any] = {"flavors": []}
    if accounts_ is not None:
        spec["accounts"] = yaml.safe_load(accounts_)
    return {"metadata": {"name": name}, "spec": spec}


def namespace(name: str, labels: dict[str, str] | None = None, **metadata: Any) -> Manifest:
    return {"metadata": {"name": name, "creationTimestamp": CREATED, "labels": labels or {}} | metadata}


ANY = pool("any", None)
GOLD = pool("gold", "{matchLabels: {tier: gold}}")
GOLD_OR_TRIAL = pool("several", "{matchExpressions: [{key: tier, operator: In, values: [trial, gold]}]}")
TRUSTED = pool("trusted", "{matchExpressions: [{key: trusted, operator: Exists}]}")
SILVER = pool("silver", "{matchLabels: {tier: silver}}")
NOT_GOLD = pool("not-gold", "{matchExpressions: [{key: tier, operator: NotIn, values: [gold]}]}")
OWN = pool("own", "{matchLabels: {kubernetes.io/metadata.name: team-a}}")
POOLS = [ANY, GOLD, GOLD_OR_TRIAL, TRUSTED, SILVER, NOT_GOLD, OWN]


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        ([], {}),
        (["any"], {}),
        (["trusted"], {"trusted": "true"}),
        (["several"], {"tier": "trial"}),
        (["several", "gold"], {"tier": "gold"}),
        (["trusted", "silver", "not-gold"], {"trusted": "true", "tier": "silver"}),
        (["not-gold"], {}),
        (["own"], {}),
    ],
)
def test_m3_a_pool_is_given_by_the_labels_that_it_asks_for(names: list[str], labels: dict[str, str]) -> None:
    assert poolaccess.labels_for(POOLS, names, "team-a") == labels
    assert set(names) <= set(poolaccess.taking(POOLS, labels | {poolaccess.OWN_NAME: "team-a"}))


TIERS = pool("tiers", "{matchExpressions: [{key: tier, operator: In, values: [gold, silver, iron]}]}")
IRON_TRUSTED = pool("iron-trusted", "{matchLabels: {tier: iron, trusted: 'true'}}")
ACCOUNTS = pool("accounts", "{matchLabels: {maas-operator.io/account: 'true'}}")


@pytest.mark.parametrize(
    ("pools", "names", "labels"),
    [
        ([TIERS, GOLD], ["tiers"], {"tier": "silver"}),
        ([GOLD, SILVER, TIERS], ["tiers"], {"tier": "iron"}),
        ([GOLD, TIERS], ["gold", "tiers"], {"tier": "gold"}),
        ([GOLD_OR_TRIAL, TIERS], ["several", "tiers"], {"tier": "gold"}),
        ([TIERS, NOT_GOLD], ["tiers", "not-gold"], {"tier": "silver"}),
        ([TIERS, NOT_GOLD, SILVER], ["tiers"], {"tier": "gold"}),
        ([TIERS, GOLD, SILVER, IRON_TRUSTED], ["tiers"], {"tier": "iron"}),
        ([SILVER, NOT_GOLD, ANY, ACCOUNTS], ["silver"], {"tier": "silver"}),
        ([ACCOUNTS, ANY], ["accounts"], {}),
    ],
)
def test_m3_of_several_labels_that_would_do_one_is_chosen_that_opens_no_other_pool(
    pools: list[Manifest], names: list[str], labels: dict[str, str]
) -> None:
    assert poolaccess.labels_for(pools, names, "team-a") == labels


@pytest.mark.parametrize(
    ("pools", "names", "further", "label"),
    [
        ([TIERS, GOLD], ["gold"], ["tiers"], "tier=gold"),
        ([GOLD_OR_TRIAL, TIERS, GOLD], ["gold"], ["several", "tiers"], "tier=gold"),
        ([TIERS, GOLD, SILVER, pool("iron", "{matchLabels: {tier: iron}}")], ["tiers"], ["gold"], "tier=gold"),
        ([TRUSTED, TIERS, GOLD, SILVER, IRON_TRUSTED], ["trusted", "tiers"], ["gold"], "tier=gold, trusted=true"),
    ],
)
def test_m3_a_pool_that_nobody_named_is_not_opened_unasked(
    pools: list[Manifest], names: list[str], further: list[str], label: str
) -> None:
    with pytest.raises(CliError) as refused:
        poolaccess.labels_for(pools, names, "team-a")
    on_purpose = " ".join(f"--pool {each}" for each in further)
    assert f"the labels for that, {label}, would open {', '.join(further)} to account team-a too" in str(refused.value)
    assert f"say {on_purpose} as well" in str(refused.value)
    labels = poolaccess.labels_for(pools, [*names, *further], "team-a")
    assert poolaccess.taking(pools, labels) == sorted({*names, *further})


def test_m3_pools_of_very_many_labels_are_answered_for_all_the_same() -> None:
    values = [str(number) for number in range(64)]
    wide = [{"key": f"key-{number}", "operator": "In", "values": values} for number in range(16)]
    vast = {"metadata": {"name": "vast"}, "spec": {"accounts": {"matchExpressions": wide}, "flavors": []}}
    assert len(poolaccess.labels_for([vast, ANY], ["vast"], "team-a")) == 16


@pytest.mark.parametrize(
    ("names", "account", "said"),
    [
        (["golden"], "team-a", "--pool golden: there is no such ResourcePool; there are any, gold,"),
        (["gold", "silver"], "team-a", "--pool silver: it would not take account team-a, with the labels "),
        (["gold", "not-gold"], "team-a", 'Its spec.accounts is {"matchExpressions"'),
        (["own"], "team-b", "change that (kubectl edit resourcepool own), or leave the pool out"),
    ],
)
def test_m3_pools_that_no_label_opens_are_told_with_what_to_do(names: list[str], account: str, said: str) -> None:
    with pytest.raises(CliError) as refused:
        poolaccess.labels_for(POOLS, names, account)
    assert said in str(refused.value)


def test_m22_a_quota_says_what_is_asked_for_and_at_most_30_keys() -> None:
    assert quota_of("") == {}
    assert quota_of("keys=30") == {KEYS: str(MAX_KEYS_PER_ACCOUNT)}
    assert quota_of("cpu=32, memory=256Gi,huawei.com/Ascend910=8,services=10,keys=5") == {
        KEYS: "5",
        "requests.cpu": "32",
        "requests.memory": "256Gi",
        "requests.huawei.com/Ascend910": "8",
        SERVICES: "10",
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cpus=4", "--quota cpus=4: write NAME=QUANTITY, with one of cpu, memory, ephemeral-storage, services, keys"),
        ("cpu", "--quota cpu: write NAME=QUANTITY"),
        ("cpu=lots", "--quota cpu=lots: write NAME=QUANTITY"),
        ("cpu=-1", "--quota cpu=-1: write NAME=QUANTITY"),
        ("keys=31", "--quota keys=31: an account has at most 30 keys"),
        ("keys=1k", "--quota keys=1k: an account has at most 30 keys"),
        ("keys=1.5", "--quota keys=1.5: keys is counted in whole numbers"),
        ("services=500m", "--quota services=500m: services is counted in whole numbers"),
        ("nvidia.com/gpu=0.5", "--quota nvidia.com/gpu=0.5: nvidia.com/gpu is counted in whole numbers"),
        ("cpu=4,memory=1Gi,cpu=8", "--quota cpu=8: cpu is named twice"),
        ("memory=256", "--quota memory=256: less than 1Mi; without a unit it is in bytes, and m is a thousandth"),
        ("ephemeral-storage=1m", "--quota ephemeral-storage=1m: less than 1Mi;"),
        ("requests.nvidia.com/gpu=8", "--quota requests.nvidia.com/gpu=8: write NAME=QUANTITY"),
        ("kubernetes.io/gpu=8", "--quota kubernetes.io/gpu=8: write NAME=QUANTITY"),
    ],
)
def test_m22_a_quota_that_is_none_is_refused(text: str, said: str) -> None:
    with pytest.raises(CliError) as refused:
        quota_of(text)
    assert said in str(refused.value)


def test_limits_that_the_gateway_could_not_go_by_are_refused() -> None:
    assert accounts.checked_limits({"requestsPerMinute": 600}) == {"requestsPerMinute": 600}
    with pytest.raises(CliError, match="--key-limits tokenQuota=0: Input should be greater than or equal to 1"):
        accounts.checked_limits({"requestsPerMinute": 600, "tokenQuota": 0})


@pytest.mark.parametrize("name", ["Team-A", "team_a", "-team", "a" * 64, "", "team-a\n", "team.a"])
def test_an_accounts_name_is_a_namespaces(name: str) -> None:
    with pytest.raises(CliError, match="an account is a namespace, whose name has at most 63"):
        accounts.checked_name(name)
    assert accounts.checked_name("a" * 63) == "a" * 63


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("user:alice", Subject("User", "alice")),
        ("group:oidc:team-a", Subject("Group", "oidc:team-a")),
        ("serviceaccount:flux-system:flux", Subject("ServiceAccount", "flux", "flux-system")),
    ],
)
def test_m1_people_are_named_with_what_they_are(text: str, subject: Subject) -> None:
    assert accounts.subject_named(text, "--viewer") == subject


@pytest.mark.parametrize("text", ["alice", "user:", "team:a", ""])
def test_m1_who_is_nobody_is_told_how_to_write_it(text: str) -> None:
    with pytest.raises(CliError, match=r"--viewer .*: write user:NAME, group:NAME or serviceaccount:NAMESPACE:NAME"):
        accounts.subject_named(text, "--viewer")


ACCOUNT = Account("team-a", {"tier": "gold"}, {KEYS: "30"}, {"requestsPerMinute": 600, "tokenQuota": 5})


def test_what_an_account_consists_of() -> None:
    made = ACCOUNT.namespace()
    assert made["metadata"]["labels"] == {"maas-operator.io/account": "true", "tier": "gold"}
    assert made["metadata"]["annotations"] == {ANNOTATION_DEFAULT_KEY_LIMITS: "requestsPerMinute=600,tokenQuota=5"}
    quota = ACCOUNT.resource_quota()
    assert (quota["metadata"]["namespace"], quota["spec"]["hard"]) == ("team-a", {KEYS: "30"})
    assert ACCOUNT.manifests() == [made, quota]
    assert [each["kind"] for each in Account("team-b", {}, {}, {}).manifests()] == ["Namespace"]
    assert accounts.made_here(accounts.marked(made))
    assert not accounts.made_here(made)


def test_what_is_printed_for_git_lacks_the_mark_of_what_the_tool_may_remove_and_has_nothing_twice() -> None:
    alice = Subject("User", "alice")
    granted = [each for role in ("viewer", "full-access") for each in bindings.wanted(ROLES, role, alice, "team-a")]
    printed = accounts.for_git([accounts.marked(ACCOUNT.namespace()), ACCOUNT.resource_quota(), *granted])
    assert LABEL_MANAGED_BY in str(granted)
    assert LABEL_MANAGED_BY not in str(printed)
    assert [each["kind"] for each in printed] == [
        "Namespace",
        "ResourceQuota",
        "RoleBinding",
        "ClusterRoleBinding",
        "RoleBinding",
        "RoleBinding",
    ]
    assert accounts.for_git(printed) == printed


def test_what_is_there_differs_where_it_lacks_something() -> None:
    wanted = ACCOUNT.namespace()
    more = accounts.marked(wanted) | {"spec": {"finalizers": ["kubernetes"]}}
    assert not accounts.differs(more, wanted)
    assert accounts.differs(namespace("team-a", {"tier": "trial"}), wanted)
    raised = Account("team-a", {}, {KEYS: "30", SERVICES: "1"}, {})
    assert accounts.differs(ACCOUNT.resource_quota(), raised.resource_quota())
    assert not accounts.differs(ACCOUNT.resource_quota(), ACCOUNT.resource_quota())
    assert accounts.differs(raised.resource_quota(), ACCOUNT.resource_quota())


@pytest.mark.parametrize(
    ("said", "written", "same"),
    [
        ("memory=1024Gi", "1Ti", True),
        ("cpu=0.5", "500m", True),
        ("cpu=1000m", "1", True),
        ("huawei.com/Ascend910=8", "8", True),
        ("memory=1024Gi", "1024G", False),
        ("cpu=0.5", "501m", False),
    ],
)
def test_a_quota_that_the_api_server_writes_in_other_words_is_the_same(said: str, written: str, same: bool) -> None:
    wanted = Account("team-a", {}, quota_of(said), {}).resource_quota()
    there = wanted | {"spec": {"hard": dict.fromkeys(wanted["spec"]["hard"], written)}}
    assert accounts.differs(there, wanted) is not same


@pytest.mark.parametrize(
    ("annotation", "same"),
    [
        ("requestsPerMinute=600,tokenQuota=5", True),
        ("tokenQuota=5, requestsPerMinute=600", True),
        ("requestsPerMinute=600", False),
        ("requestsPerMinute=600,tokenQuota=5k", False),
        ("", False),
    ],
)
def test_default_limits_in_other_words_are_the_same(annotation: str, same: bool) -> None:
    wanted = ACCOUNT.namespace()
    there = namespace("team-a", wanted["metadata"]["labels"], annotations={ANNOTATION_DEFAULT_KEY_LIMITS: annotation})
    assert accounts.differs(there, wanted) is not same
    assert not accounts.differs(there, Account("team-a", {"tier": "gold"}, {}, {}).namespace())


@pytest.mark.parametrize(
    ("metadata", "state"),
    [
        ({}, "Active"),
        ({"annotations": {ANNOTATION_FROZEN: "*"}}, "Frozen"),
        ({"annotations": {ANNOTATION_FROZEN: "chat, coder,"}}, "Frozen: chat, coder"),
        ({"annotations": {ANNOTATION_FROZEN: ""}}, "Active"),
        ({"deletionTimestamp": CREATED, "annotations": {ANNOTATION_FROZEN: "*"}}, "Terminating"),
    ],
)
def test_81006_the_state_of_an_account(metadata: dict[str, Any], state: str) -> None:
    assert accounts.state(namespace("team-a", **metadata)) == state


def test_what_is_listed() -> None:
    def of(account: str) -> Manifest:
        return {"metadata": {"namespace": account}}

    made = accounts.marked(ACCOUNT.namespace())
    made["metadata"]["creationTimestamp"] = CREATED
    used = {"requests.cpu": "4", KEYS: "2"}
    quota = {
        "metadata": {"namespace": "team-a"},
        "spec": {"hard": {"requests.cpu": "32", KEYS: "30", "requests.nvidia.com/gpu": "8"}},
        "status": {"used": used},
    }
    others = [
        namespace("kube-system"),
        namespace("serving"),
        namespace("stopped", annotations={ANNOTATION_FROZEN: "*"}),
    ]
    keys, services = [of("team-a"), of("team-a")], [of("serving")]
    listed = list(accounts.rows([*others, made], services, keys, [quota], [ANY, GOLD, SILVER]))
    assert listed == [
        {
            "account": name,
            "state": state,
            "services": services_,
            "keys": keys_,
            "quota": used_,
            "pools": pools,
            "keyLimits": limits,
            "madeBy": by,
            "created": CREATED,
        }
        for name, state, services_, keys_, used_, pools, limits, by in [
            ("serving", "Active", 1, 0, None, "any", None, "others"),
            ("stopped", "Frozen", 0, 0, None, "any", None, "others"),
            (
                "team-a",
                "Active",
                0,
                2,
                "cpu 4/32, keys 2/30, nvidia.com/gpu ?/8",
                "any,gold",
                "requestsPerMinute=600,tokenQuota=5",
                "kubectl maas",
            ),
        ]
    ]


def test_81006_an_accounts_people_are_told_that_it_is_frozen_and_of_its_default_limits() -> None:
    def told(**annotations: str) -> list[str]:
        names = {"frozen": ANNOTATION_FROZEN, "limits": ANNOTATION_DEFAULT_KEY_LIMITS}
        made = {names[name]: text for name, text in annotations.items()}
        return list(accounts.told(namespace("team-a", annotations=made)))

    assert told() == []
    (frozen, limits) = told(frozen="*", limits="requestsPerMinute=6")
    assert frozen == "account team-a is frozen by the platform's team: calls get 401 ModelArts.81006"
    assert limits == "where a key names no limit of a kind, it has the account's: requestsPerMinute=6"
    assert told(frozen="chat") == [
        "of account team-a, chat is frozen by the platform's team: calls get 401 ModelArts.81006"
    ]


@pytest.mark.parametrize(
    ("annotation", "why"),
    [
        (
            "requestsPerMinute=600, tokensPerMinute=200k",
            "tokensPerMinute=200k: write NAME=NUMBER, with one of requests",
        ),
        ("requestsPerMinute=0", "requestsPerMinute: Input should be greater than or equal to 1"),
        ("requests=5", "requests=5: write NAME=NUMBER"),
    ],
)
def test_default_limits_that_the_gateway_cannot_read_are_told_as_such(annotation: str, why: str) -> None:
    made = namespace("team-a", {"maas-operator.io/account": "true"})
    made["metadata"]["annotations"] = {ANNOTATION_DEFAULT_KEY_LIMITS: annotation}
    (told,) = accounts.told(made)
    cause = f"{ANNOTATION_DEFAULT_KEY_LIMITS}: {why}"
    assert f"the default limits of account team-a's keys cannot be read, so none count: {cause}" in told
    (row,) = accounts.rows([made], [], [], [], [])
    assert f"unreadable, so none count: {cause}" in str(row["keyLimits"])
    (unread,) = gather((), (), (), [made | {"kind": "Namespace"}], datetime.now(UTC)).unreadable
    assert cause in unread, "the gateway says the same"
