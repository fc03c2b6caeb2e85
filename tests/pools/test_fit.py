"""M3 and M8 as users meet them: real operator, controllers and scheduler, kwok's nodes, `kubectl maas`."""

import json
from typing import Any

import pytest

from tests.api.operator_process import Account, Operator, custom
from tests.cluster import Cluster
from tests.cluster.waiting import wait_until
from tests.pools.room import NPUS, NPUS_A_NODE, SEEN_SECONDS
from tests.pools.test_lifecycle import Maas

POOL, MODEL, NAME = "fitting", "qwen2.5-32b-instruct", "thirtytwo"
SHAPE = {"parameters": 32763876352, "layers": 64, "hiddenSize": 5120, "attentionHeads": 40, "kvHeads": 8,
         "headSize": 128, "vocabularySize": 152064, "contextLength": 32768}  # fmt: skip
VERSION = {"name": "32k", "source": "hf://Qwen/Qwen2.5-32B-Instruct", "contextLength": 32768}
WEIGHTS = {"size": "61Gi", "precision": "bfloat16"}


def flavors(memory: str) -> list[dict[str, Any]]:
    return [
        {
            "name": f"910b-x{count}",
            "accelerator": {"type": "ascend-910b", "count": count, "memory": memory},
            "cpu": "1",
            "memory": "1Gi",
            "maxQPS": 20 * count,
            "price": {"perHour": f"{6 * count}.25", "currency": "EUR"},
        }
        for count in (1, 2, 4)
    ]


@pytest.fixture(scope="module")
def maas(cluster: Cluster, operator: Operator, account: Account) -> Maas:
    cluster.add_kwok_nodes(1, {NPUS: str(NPUS_A_NODE)}, {"pool": POOL}, prefix=POOL)
    known = VERSION | {"weights": WEIGHTS, "architecture": SHAPE}
    account.apply(
        custom("ResourcePool", POOL, spec={"nodeSelector": {"pool": POOL}, "flavors": flavors("64Gi")}),
        custom("Model", MODEL, spec={"versions": [known]}),
    )
    return Maas(account, operator)


def test_m3_m8_an_unfit_flavor_is_foretold_and_refused_and_what_is_put_right_starts(
    maas: Maas, account: Account, operator: Operator
) -> None:
    def said(kind: str, reason: str) -> str:
        """What the condition says once it has this reason."""

        def there() -> Any:
            found = account.condition(kind, NAME)
            return found.get("reason") == reason and found["message"]

        return str(account.eventually(there, f"{kind} to be {reason}", operator, SEEN_SECONDS))

    def foretold() -> dict[str, dict[str, Any]]:
        rows = json.loads(maas("fit", MODEL, "--pool", POOL, "-o", "json"))
        return {row["flavor"]: row for row in rows}

    wait_until(lambda: foretold()["910b-x2"]["free"] == 4, SEEN_SECONDS, "the pool to count its room", operator.tail)
    rows = foretold()
    assert {name: row["fits"] for name, row in rows.items()} == {"910b-x1": "no", "910b-x2": "yes", "910b-x4": "yes"}
    assert rows["910b-x1"]["why"] == "it needs 70 GiB and has 58"
    assert rows["910b-x2"]["pricePerHour"] == "12.25"
    assert rows["910b-x4"]["sequences"] > rows["910b-x2"]["sequences"] > 0

    account.serve(NAME, model={"name": MODEL}, resourcePool=POOL, flavor="910b-x1", qps=20)
    assert said("Accepted", "FlavorUnfit") == (
        f"flavor 910b-x1 cannot hold {MODEL} 32k: it needs 70 GiB and has 58; flavors of pool {POOL} that can: "
        "910b-x2, 910b-x4"
    )
    assert account.get("deployment", NAME) is None

    account.patch("msvc", {"spec": {"flavor": "910b-x2", "qps": 70}}, NAME)
    words = said("Accepted", "QPSTooHigh")
    assert words.startswith("ModelArts.4206: qps 70 is above what is allowed: flavor 910b-x2 allows 40 an instance")
    assert words.endswith("or take a flavor that allows it: 910b-x4")
    assert account.get("deployment", NAME) is None

    maas("qps", NAME, "40")
    said("Ready", "InstancesReady")
    before = account.get("deployment", NAME)
    assert before

    account.patch("rpool", {"spec": {"flavors": flavors("32Gi")}}, POOL)
    assert "deployed before, and left as it is; but flavor 910b-x2 cannot hold" in said("Accepted", "FlavorUnfit")
    assert account.condition("Accepted", NAME)["status"] == "True"
    assert account.condition("Ready", NAME)["status"] == "True"
    after = account.get("deployment", NAME)
    assert after
    assert after["metadata"]["generation"] == before["metadata"]["generation"], "what runs is not touched"
    account.delete("msvc", NAME)
