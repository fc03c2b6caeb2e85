"""A real local Kubernetes for tests, benchmarks and the demo: `python -m tests.cluster up`, or Cluster in Python."""

from tests.cluster.cluster import Cluster, Status
from tests.cluster.errors import ClusterError, PrerequisitesError

__all__ = ["Cluster", "ClusterError", "PrerequisitesError", "Status"]
