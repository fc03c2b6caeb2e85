"""The table in docs/catalogue.md is what the chart's files say."""

from maas_operator.api.model import ModelVersion, VersionAccelerator
from maas_operator.api.resourcepool import Flavor
from maas_operator.decide.accelerators import accelerators
from maas_operator.decide.fit import fit
from tests.unit.catalogue.models import NAMES, ROOT, spec

PAGE = ROOT / "docs" / "catalogue.md"
START, END = "<!-- models -->\n", "<!-- end of models -->\n"


def _row(name: str) -> str:
    said, version = spec(name), spec(name).versions[-1]
    assert version.weights and version.architecture
    names = ", ".join(each.name for each in said.versions)
    billions = f"{version.architecture.parameters / 1e9:.1f}B"
    ascend = next((each for each in version.accelerators if each.type == "ascend-910b"), None)
    needs = f"{f'{ascend.hosts} hosts of ' if ascend.hosts else ''}{_fewest(version, ascend)}" if ascend else "-"
    needs += " (estimated)" if ascend and ascend.estimated else ""
    gated = ", gated" if said.gated else ""
    weights = f"{version.weights.size} {version.weights.precision}"
    return f"| {name} | {said.series} | {names} | {billions} | {weights} | {needs} | {said.license}{gated} |"


def _fewest(version: ModelVersion, on: VersionAccelerator) -> int:
    """What the Model says, or else what the arithmetic says of devices of 64 GiB."""
    if on.count is not None:
        return on.count
    known, flavor = accelerators()[on.type], {"name": "f", "cpu": "8", "memory": "64Gi"}
    counts = {
        count: Flavor.model_validate(flavor | {"accelerator": {"type": on.type, "count": count}})
        for count in (1, 2, 4, 8)
    }
    return next(count for count, each in counts.items() if fit(version, each, known).fits)


def _table() -> str:
    head = "| Model | Series | Versions | Parameters | Weights | 910B at least | License |\n"
    return head + "|---|---|---|---|---|---|---|\n" + "".join(f"{_row(name)}\n" for name in NAMES)


def test_the_page_has_the_table_of_the_files(update_golden: bool) -> None:
    before, _, rest = PAGE.read_text().partition(START)
    table, _, after = rest.partition(END)
    if update_golden:
        table = _table()
        PAGE.write_text(before + START + table + END + after)
    assert table == _table(), "run pytest tests/unit/catalogue --update-golden"
