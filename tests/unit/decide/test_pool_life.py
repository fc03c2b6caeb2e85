"""A pool put through everything, in any order: what holds whatever its services, its nodes and other tenants do."""

from collections.abc import Iterable

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from maas_operator.api.seen import PodSeen
from tests.unit.decide.pool_life import GPU, GPUS, PoolLife

ACCOUNTS = ("a", "b")
NAMES = tuple(f"{account}/{name}" for account in ACCOUNTS for name in "xyz")
WHO = st.sampled_from(NAMES)
FLAVORS = st.sampled_from(["small", "small", "large", "giant"])
QUOTA = 5
"""Instances of account a."""


class WholePool(RuleBasedStateMachine):
    """After every step all is decided, in any order, until nothing is begun any more."""

    @initialize(nodes=st.integers(0, 3))
    def begins(self, nodes: int) -> None:
        quota = {"name": "of-a", "accounts": {"matchLabels": {"account": "a"}}, "instances": QUOTA}
        self.life = PoolLife(nodes, quotas=[quota])
        self.life.classes(low=-5, high=1000)
        self.nodes = nodes
        self.reverse = False

    @rule(who=WHO, flavor=FLAVORS, instances=st.integers(0, 3), priority=st.sampled_from([None, "low", "high"]))
    def one_is_made_or_changed(self, who: str, flavor: str, instances: int, priority: str | None) -> None:
        more = {"priorityClassName": priority} if priority else {}
        if who in self.life.services:
            self.life.services[who]["spec"].pop("priorityClassName", None)
            self.life.change(who, flavor=flavor, instances=instances, **more)
        else:
            self.life.add(who, flavor, instances, rollout={"withoutRoom": "Wait"}, **more)

    @rule(who=WHO, state=st.sampled_from(["Running", "Stopped"]))
    def one_is_stopped_or_started(self, who: str, state: str) -> None:
        if who in self.life.services:
            self.life.change(who, state=state)

    @rule(who=WHO)
    def one_is_deleted(self, who: str) -> None:
        if who in self.life.services:
            self.life.delete(who)

    @rule(who=WHO)
    def the_operator_is_killed(self, who: str) -> None:
        if who in self.life.services:
            self.life.die(who)

    @rule()
    def a_node_comes(self) -> None:
        self.nodes += 1
        self.life.nodes.append(f"n{self.nodes}")

    @rule(number=st.integers(0, 3))
    def a_node_goes(self, number: int) -> None:
        if number < len(self.life.nodes):
            self.life.lose(self.life.nodes[number])

    @rule(number=st.integers(0, 3), cordoned=st.booleans())
    def a_node_is_cordoned(self, number: int, cordoned: bool) -> None:
        if number < len(self.life.nodes):
            (self.life.closed.add if cordoned else self.life.closed.discard)(self.life.nodes[number])

    @rule(number=st.integers(0, 3), devices=st.integers(0, GPUS))
    def another_tenant_takes_what_is_free(self, number: int, devices: int) -> None:
        if number < len(self.life.nodes):
            name = self.life.nodes[number]
            seen = next(each for each in self.life.seen_nodes() if each.name == name)
            self.life.taken[name] = min(devices, GPUS - seen.requested_by_models.get(GPU, 0))

    @rule(reverse=st.booleans())
    def all_comes_to_rest(self, reverse: bool) -> None:
        self.reverse = reverse
        for _ in range(40):
            before = {who: list(pods) for who, pods in self.life.pods.items()}
            changed = self.life.round(self.in_order)
            for who, pods in before.items():
                self.check_taken_away(who, pods)
            made = {who: self.life.replicas(who) for who in self.life.services if who.startswith("a/")}
            assert sum(made.values()) <= QUOTA, made
            if not changed:
                break
        else:
            raise AssertionError(f"it does not come to rest: {self.life.told()}")
        self.check_rest()

    def in_order(self, names: Iterable[str]) -> list[str]:
        return sorted(names, reverse=self.reverse)

    def check_taken_away(self, who: str, before: list[PodSeen]) -> None:
        """What runs stays, as long as it is asked for and of what is asked for."""
        spec = self.life.services[who]["spec"]
        wanted = 0 if spec.get("state") == "Stopped" else spec["instances"]
        had = sum(each.node is not None for each in before)
        has = sum(each.node is not None for each in self.life.pods[who])
        assert has >= min(had, wanted), f"{who} had {had} of {wanted} and has {has}"

    def check_rest(self) -> None:
        life = self.life
        line = life.standings.lines("pool-a").get(GPU, ())
        assert [life.queue(each.who)["place"] for each in line] == list(range(1, len(line) + 1))
        orders = [each.order for each in line]
        assert orders == sorted(orders)
        for place, each in enumerate(line):
            standing = sum(pod.node is not None for pod in life.pods[each.who])
            if place == 0:
                wanted = life.services[each.who]["status"]["instances"]["desired"]
                assert life.replicas(each.who) == wanted or each.quota, "the first has its pods made"
            elif not life.queue(each.who).get("quota") and life.replicas(each.who) > max(each.placed, standing):
                raise AssertionError(f"{each.who} is not first, lacks room, and has pods made")
        for who in life.services:
            status = life.services[who]["status"]
            if status["instances"]["desired"] and not life.pods[who]:
                assert status["phase"] == "Queuing", f"{who} is {status['phase']}"


WholePool.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestWholePool = WholePool.TestCase
