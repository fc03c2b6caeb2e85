"""`make demo` and `make demo-down`: a real Kubernetes, the operator, and a model that answers through the gateway."""

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

from tests.chat import ask
from tests.cluster import Cluster, ClusterError, PrerequisitesError
from tests.cluster.progress import say
from tests.cluster.waiting import wait_until
from tests.images import NAMES
from tests.installation import REPOSITORY, install, load_images
from tests.keys import gateway_address, new_key
from tests.snippets import snippet

EXAMPLES = "examples/demo"
QUESTION = "What is the capital of France? Answer in one sentence."
ANSWER_TOKENS = 48
ACCOUNT, MODEL = "team-a", "assistant"
KNOWN_SECONDS = 60
READY_SECONDS = 900
NEXT_STEPS = """
What to type next:

  export KUBECONFIG={kubeconfig} PATH={binaries}:$PATH
  kubectl get modelservices,models,resourcepools -A     # what there is
  kubectl describe msvc assistant -n team-a             # conditions, events
  kubectl explain modelservice.spec                     # every field
  {maas} usage -n team-a
  kubectl patch msvc assistant -n team-a --type=merge -p '{{"spec":{{"state":"Stopped"}}}}'

  make demo-down                                        # remove all of it

A first call:

{curl}
The same with the OpenAI SDK ({python} has it):

{sdk}"""


def main(command: str) -> int:
    """Return 0; 1 where a step failed; 2 where this machine lacks something."""
    cluster = Cluster()
    try:
        if command == "down":
            cluster.down()
        else:
            _up(cluster)
    except PrerequisitesError as error:
        print(error, file=sys.stderr)
        return 2
    except (ClusterError, subprocess.SubprocessError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _up(cluster: Cluster) -> None:
    began = time.monotonic()
    cluster.up("node")
    load_images(cluster, [name for name in NAMES if name not in {"base-python", "model-tiny"}])
    install(cluster)
    say(f"kubectl apply -f {EXAMPLES}/")
    say(cluster.kubectl("apply", "-f", str(REPOSITORY / EXAMPLES)).rstrip())
    say("waiting until the model is loaded (a minute or so on two cores)")
    cluster.kubectl(
        "wait", "-n", "team-a", "modelservice/assistant", "--for=condition=Ready", f"--timeout={READY_SECONDS}s"
    )
    say(cluster.kubectl("get", "modelservices", "-n", "team-a"))
    url, key = gateway_address(cluster), new_key(cluster, ACCOUNT, "demo", "made by make demo")
    remember(cluster, MAAS_URL=url, MAAS_KEY=key, MAAS_MODEL=MODEL)
    say(f"question: {QUESTION}")
    say(f"answer:   {_ask(url, key)}")
    say(f"\nThe demo took {time.monotonic() - began:.0f} s.")
    say(next_steps(_shown(cluster), cluster.binary("kubectl").parent))


def next_steps(kubeconfig: str, binaries: Path) -> str:
    """The demo's last words; the first calls are README's."""
    curl, sdk = (snippet(REPOSITORY / "README.md", "A first call", language) for language in ("sh", "python"))
    maas = f"PYTHONPATH=operator {sys.executable} -m maas_operator.cli.main"
    return NEXT_STEPS.format(
        kubeconfig=kubeconfig, binaries=binaries, maas=maas, curl=curl, sdk=sdk, python=sys.executable
    )


def _ask(url: str, key: str) -> str:
    """The answer through the gateway, as soon as it knows the key and the service."""
    wait_until(lambda: _answers(url, key), KNOWN_SECONDS, "the gateway to know the key and the service")
    answer = ask(url, MODEL, QUESTION, ANSWER_TOKENS, key)
    return str(answer["choices"][0]["message"]["content"]).strip()


def _answers(url: str, key: str) -> bool:
    try:
        ask(url, MODEL, "Hello", 1, key)
    except OSError:
        return False
    return True


def remember(cluster: Cluster, **variables: str) -> None:
    """Leave what the next steps need in .cluster/env, for its owner alone: a key is in it."""
    file = cluster.kubeconfig.with_name("env")
    file.unlink(missing_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as written:
        written.writelines(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())


def _shown(cluster: Cluster) -> str:
    """The kubeconfig's path from where the user stands."""
    return f"$PWD/{cluster.kubeconfig.relative_to(REPOSITORY)}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
