"""A way from this process to a Service, by `kubectl port-forward` as a user would go."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.cluster import Cluster, ClusterError


@contextmanager
def forwarded(cluster: Cluster, namespace: str, target: str, port: int) -> Iterator[str]:
    """The base URL (http://127.0.0.1:PORT) under which the target answers while the block runs."""
    command = [str(cluster.binary("kubectl")), f"--kubeconfig={cluster.kubeconfig}", "-n", namespace]
    command += ["port-forward", target, f":{port}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            found = re.search(r"127\.0\.0\.1:(\d+)", line)
            if not found:
                raise ClusterError(f"kubectl port-forward {target}: {line.strip()}")
            yield f"http://127.0.0.1:{found[1]}"
        finally:
            process.terminate()
