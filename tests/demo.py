"""`make demo` and `make demo-down`: a real Kubernetes, the operator, and a model that answers."""

import subprocess
import sys
import time

from tests.chat import ask
from tests.cluster import Cluster, ClusterError, PrerequisitesError
from tests.cluster.progress import say
from tests.forwarding import forwarded
from tests.images import NAMES
from tests.installation import REPOSITORY, install, load_images

EXAMPLES = "examples/demo"
QUESTION = "What is the capital of France? Answer in one sentence."
ANSWER_TOKENS = 48
READY_SECONDS = 900
NEXT_STEPS = """
What to type next:

  export KUBECONFIG={kubeconfig} PATH={binaries}:$PATH
  kubectl get modelservices,models,resourcepools -A     # what there is
  kubectl describe msvc assistant -n team-a             # conditions, events
  kubectl explain modelservice.spec                     # every field
  kubectl patch msvc assistant -n team-a --type=merge -p '{{"spec":{{"state":"Stopped"}}}}'
  kubectl port-forward -n team-a service/assistant 8000 &
  curl http://127.0.0.1:8000/v1/chat/completions -H 'Content-Type: application/json' \\
    -d '{{"model":"assistant","messages":[{{"role":"user","content":"Hello"}}]}}'

  make demo-down                                        # remove all of it
"""


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
    say(f"question: {QUESTION}")
    say(f"answer:   {_ask(cluster)}")
    say(f"\nThe demo took {time.monotonic() - began:.0f} s.")
    say(NEXT_STEPS.format(kubeconfig=_shown(cluster), binaries=cluster.binary("kubectl").parent))


def _ask(cluster: Cluster) -> str:
    with forwarded(cluster, "team-a", "service/assistant", 8000) as base:
        answer = ask(base, "assistant", QUESTION, ANSWER_TOKENS)
    return str(answer["choices"][0]["message"]["content"]).strip()


def _shown(cluster: Cluster) -> str:
    """The kubeconfig's path from where the user stands."""
    return f"$PWD/{cluster.kubeconfig.relative_to(REPOSITORY)}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
