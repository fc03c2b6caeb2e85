"""What holds for any facts, also of hostile names: the API server's rules are not relied upon."""

from dataclasses import replace
from datetime import UTC

from hypothesis import given, settings
from hypothesis import strategies as st

from maas_operator.api.modelservice import Balancing
from maas_operator.gateway.envoy import render
from maas_operator.gateway.envoy.names import CLUSTERS, KEY_REQUESTS, KEYS, ROUTES, SERVICE_QPS, SERVICE_REQUESTS
from maas_operator.gateway.facts import Facts, Key, Limits, Reach, Service
from tests.unit.gateway.decoding import decoded, version

NAME = st.one_of(st.sampled_from(["a", "b", "team-a", "!agent", "id/x", "name/x", ""]), st.text(max_size=12)).map(
    lambda text: text.encode(errors="replace").decode()
)
LIMIT = st.none() | st.integers(1, 10**9)
LIMITS = st.builds(Limits, LIMIT, LIMIT)
SERVICE = st.builds(
    Service,
    namespace=NAME,
    name=NAME,
    id=NAME,
    names=st.lists(NAME, max_size=3).map(tuple),
    model=NAME,
    version=NAME,
    endpoints=st.lists(st.tuples(st.sampled_from(["10.0.0.1", "fd00::1"]), st.integers(1, 65535)), max_size=2).map(
        tuple
    ),
    reach=st.sampled_from(Reach),
    qps=LIMIT,
    limits=LIMITS,
    shared_with=st.frozensets(NAME, max_size=2),
    shared_with_all=st.booleans(),
    balancing=st.sampled_from(Balancing),
)
KEY = st.builds(
    Key,
    account=NAME,
    name=NAME,
    uid=NAME,
    sha256=NAME,
    client_credentials=st.booleans(),
    limits=LIMITS,
    services=st.lists(NAME, max_size=2).map(tuple),
    frozen=st.booleans(),
    quota_used_up=st.booleans(),
    expires=st.none() | st.datetimes(timezones=st.just(UTC)),
)
FACTS = st.builds(
    Facts,
    services=st.lists(SERVICE, max_size=4).map(tuple),
    keys=st.lists(KEY, max_size=4).map(tuple),
    replicas=st.lists(st.tuples(st.just("10.1.0.1"), st.integers(1, 65535)), max_size=3).map(tuple),
    over_limit=st.frozensets(NAME, max_size=2),
)


@given(FACTS)
@settings(max_examples=150, deadline=None)
def test_m22_any_facts_are_rendered_and_only_own_or_shared_services_are_routed(facts: Facts) -> None:
    files = render(facts)
    assert files == render(facts)
    routes = decoded(files[ROUTES])[0]["virtual_hosts"][0]["matcher"]["on_no_match"]["matcher"]
    own = routes["matcher_tree"]["exact_match_map"]["map"]
    by_id: dict[str, list[Service]] = {}
    for service in facts.services:
        by_id.setdefault(service.id, []).append(service)
    for name, found in own.items():
        action = found["action"]["typed_config"]
        reached = action.get("route", {}).get("cluster")
        if name == "!agent" or reached is None:
            continue
        accounts = {account for each in by_id[reached] for account in (each.namespace, *each.shared_with)}
        assert any(name.startswith(f"{account} ") for account in accounts)
    anyone = routes["on_no_match"]["matcher"]["matcher_tree"]["exact_match_map"]["map"]
    for found in anyone.values():
        reached = found["action"]["typed_config"].get("route", {}).get("cluster")
        assert reached is None or any(each.shared_with_all for each in by_id[reached])


@given(FACTS)
@settings(max_examples=100, deadline=None)
def test_every_key_is_known_once_and_every_open_service_has_a_cluster(facts: Facts) -> None:
    files = render(facts)
    credentials = decoded(files[KEYS])[0]["typed_config"].get("credentials", [])
    assert {each.get("key", "") for each in credentials} == ({key.credential for key in facts.keys} or {"nobody"})
    assert len(credentials) == len({each.get("key", "") for each in credentials})
    names = {each.get("name", "") for each in decoded(files[CLUSTERS])}
    assert names == {service.id for service in facts.services if service.reach == Reach.OPEN}


@given(FACTS, st.lists(KEY, max_size=3))
@settings(max_examples=100, deadline=None)
def test_limiters_change_only_with_limits(facts: Facts, more: list[Key]) -> None:
    limits = [key.limits for key in facts.keys] or [Limits()]
    added = tuple(replace(key, limits=limits[0]) for key in more)
    before, after = render(facts), render(replace(facts, keys=(*facts.keys, *added) if facts.keys else ()))
    for file in (KEY_REQUESTS, SERVICE_REQUESTS, SERVICE_QPS):
        assert version(before[file]) == version(after[file])
