"""docs/gitops.md: its tables say what the tests say."""

import re
from pathlib import Path

from maas_operator.api.conditions import Phase
from tests.gitops import GITOPS, SECRETS, manifests
from tests.snippets import snippet
from tests.unit.health.table import KSTATUS, OF_PHASE
from tests.unit.health.test_argo_cd import OF_STATE

FILE = Path(__file__).parents[3] / "docs" / "gitops.md"
PAGE = FILE.read_text()


def rows(heading: str) -> list[tuple[str, ...]]:
    """The rows of the tables below a heading, each cell as it stands."""
    below = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in below.splitlines() if line.startswith("| ")]
    return [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines]


def test_m12_the_page_says_the_health_of_every_phase() -> None:
    said = [row for row in rows("Health") if row[0] in set(Phase)]
    assert said == [(*of, row.argo_cd, row.flux) for of, row in OF_PHASE.items()]
    assert {phase for phase, *_ in said} == set(Phase)


def test_the_page_says_the_health_of_the_other_kinds() -> None:
    said = [row[1:] for row in rows("Health") if row[1] in KSTATUS and row[0] not in set(Phase)]
    assert said == [(state, OF_STATE[state], KSTATUS[state]) for state in KSTATUS]


def test_the_page_lists_the_folders_and_the_secrets() -> None:
    named = {name for row in rows("The repository")[1:] for name in re.split(r", |/", row[0])}
    assert {folder.name for folder in GITOPS.iterdir()} | set(SECRETS) == named
    texts = [file.read_text() for file in sorted((GITOPS / "secrets" / "sops").rglob("secret-*.yaml"))]
    brought = [each for text in texts for each in manifests(text)]
    wanted = {
        f"{each['metadata']['namespace']}/{each['metadata']['name']}": set(each["stringData"]) for each in brought
    }
    said = {row[0]: set(re.sub(r" \(.*\)", "", row[1]).split(", ")) for row in rows("Keys and secrets")[1:]}
    assert said == wanted


def test_what_flux_cannot_read_from_git_the_page_makes() -> None:
    texts = [file.read_text() for file in sorted((GITOPS / "flux").rglob("*.yaml"))]
    needed = {name for text in texts for name in re.findall(r"secretRef: \{name: ([\w-]+)\}", text)}
    made = re.findall(r"kubectl create secret generic ([\w-]+) -n flux-system", snippet(FILE, "Flux", "bash"))
    assert needed == set(made)


def test_the_hosts_to_be_replaced_are_those_of_the_examples() -> None:
    text = "".join(file.read_text() for file in sorted(GITOPS.rglob("*.yaml")))
    services = {"registry.example.com", "git.example.com", "vault.example.com", "ledger-db.example.com"}
    assert set(re.findall(r"[\w-]+\.example\.com", text)) == services
    assert services <= set(re.findall(r"[\w-]+\.example\.com", PAGE))
