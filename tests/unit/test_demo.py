"""What the demo says at its end."""

from pathlib import Path

from tests.demo import next_steps
from tests.installation import REPOSITORY
from tests.snippets import snippet


def test_the_demo_ends_with_readmes_first_calls() -> None:
    said = next_steps("$PWD/.cluster/kubeconfig", Path("/cache/bin"))
    for language in ("sh", "python"):
        call = snippet(REPOSITORY / "README.md", "A first call", language)
        assert "MAAS_KEY" in call
        assert call in said
