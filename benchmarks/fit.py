"""`python -m benchmarks.fit`: tokens of KV cache that `kubectl maas fit` foretells, beside those that the engine then
has. JSON out.

Every version in manifests/fit.yaml on each flavor of its pool, real vLLM on the CPU of a real node: `kubectl maas fit`
is asked, and the version deployed as a service, whose engine tells in its metrics what it has (vllm:cache_config_info,
kv_cache_size_tokens). A version that does not fit must be refused, and is not started.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from benchmarks.platform import ACCOUNT, Platform, platform
from maas_operator.api.names import PORT
from tests.cluster.progress import say
from tests.cluster.waiting import wait_until
from tests.installation import load_images

MANIFESTS = Path(__file__).parent / "manifests" / "fit.yaml"
MODELS = {"tiny": "model-tiny", "smollm2-135m-instruct": "model-smollm2-135m-instruct"}
"""The images of the catalogue's models."""
SERVICE = "measured"
GONE_SECONDS = 180
REFUSED_SECONDS = 60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flavors", nargs="+", default=["small", "large"])
    flavors = parser.parse_args().flavors
    sys.stdout, printed = sys.stderr, sys.stdout
    with platform("model-tiny", MANIFESTS) as there:
        load_images(there.cluster, [image for image in MODELS.values() if image != "model-tiny"])
        results = [measured(there, row) for row in foretold(there) if row["flavor"] in flavors]
    sys.stdout = printed
    shares = [row["tokens"] / row["engine_tokens"] for row in results if row["engine_tokens"]]
    summary = {"measured": len(shares), "least_share": round(min(shares), 4), "most_share": round(max(shares), 4)}
    json.dump({"benchmark": "fit", "cores": os.cpu_count(), "summary": summary, "results": results}, printed, indent=2)
    print()


def foretold(there: Platform) -> list[dict[str, Any]]:
    """What `kubectl maas fit` says of each version and flavor."""
    found = []
    for model in MODELS:
        manifest = json.loads(there.kubectl("get", "maasmodel", model, "-o", "json"))
        for version in manifest["spec"]["versions"]:
            command = [sys.executable, "-m", "maas_operator.cli.main", "fit", model, "--version", version["name"]]
            asked = [*command, "-o", "json", "--kubeconfig", str(there.cluster.kubeconfig)]
            said = subprocess.run(asked, check=True, capture_output=True, text=True).stdout
            found += [row | {"args": version["args"]} for row in json.loads(said)]
    return found


def measured(there: Platform, row: dict[str, Any]) -> dict[str, Any]:
    """The row, with what the engine told; None where the flavor was refused."""
    spec: dict[str, Any] = {"model": {"name": row["model"], "version": row["version"]}, "flavor": row["flavor"]}
    there.apply(SERVICE, **spec, resourcePool=row["pool"], instances=1)
    try:
        if row["fits"] == "no":
            limit = f"--timeout={REFUSED_SECONDS}s"
            there.kubectl("wait", f"msvc/{SERVICE}", "--for=jsonpath={.status.conditions[0].reason}=FlavorUnfit", limit)
            tokens = None
        else:
            there.wait_ready(SERVICE)
            tokens = engine_tokens(there, there.ready_pods(SERVICE)[0]["metadata"]["name"])
    finally:
        there.kubectl("delete", "msvc", SERVICE)
        wait_until(lambda: not there.pods(SERVICE), GONE_SECONDS, "the service's pods to be gone")
    say(f"{row['model']} {row['version']} on {row['flavor']}: {row['tokens']} tokens foretold, {tokens} there")
    told = ("model", "version", "contextLength", "flavor", "args", "fits", "tokens", "why")
    return {name: row[name] for name in told} | {"engine_tokens": tokens}


def engine_tokens(there: Platform, pod: str) -> int:
    """What vLLM tells of its KV cache."""
    path = f"/api/v1/namespaces/{ACCOUNT}/pods/{pod}:{PORT}/proxy/metrics"
    for family in text_string_to_metric_families(there.kubectl("get", "--raw", path)):
        for sample in family.samples:
            if sample.name == "vllm:cache_config_info":
                return int(sample.labels["kv_cache_size_tokens"])
    raise LookupError(f"pod {pod} has no vllm:cache_config_info among its metrics")


if __name__ == "__main__":
    main()
