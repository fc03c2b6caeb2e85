"""`kubectl maas top`: figures from what exporters and engines say."""

import pytest

from maas_operator.cli import tables
from maas_operator.cli.top import COLUMNS, Devices, devices_of, devices_on, engine, exporters_of, row, selectors
from maas_operator.decide.accelerators import Exporter, accelerators


def _exporter(kind: str) -> Exporter:
    exporter = accelerators()[kind].exporter
    assert exporter is not None
    return exporter


DCGM, NPU, NPU_310P, AMD = map(_exporter, ("nvidia", "ascend-910b", "ascend-310p", "amd"))

NVIDIA = """# HELP DCGM_FI_DEV_GPU_UTIL GPU utilization (in %).
# TYPE DCGM_FI_DEV_GPU_UTIL gauge
DCGM_FI_DEV_GPU_UTIL{gpu="0",UUID="GPU-1",modelName="NVIDIA H100",container="engine",namespace="team-a",pod="a-1"} 80
DCGM_FI_DEV_GPU_UTIL{gpu="1",UUID="GPU-2",modelName="NVIDIA H100",container="engine",namespace="team-a",pod="a-1"} 41
DCGM_FI_DEV_GPU_UTIL{gpu="2",UUID="GPU-3",modelName="NVIDIA H100",container="engine",namespace="team-b",pod="a-1"} 0
DCGM_FI_DEV_GPU_UTIL{gpu="3",UUID="GPU-4",modelName="NVIDIA H100",container="",namespace="",pod=""} 7
# TYPE DCGM_FI_DEV_FB_USED gauge
DCGM_FI_DEV_FB_USED{gpu="0",container="engine",namespace="team-a",pod="a-1"} 70000
DCGM_FI_DEV_FB_USED{gpu="1",container="engine",namespace="team-a",pod="a-1"} 70001
DCGM_FI_DEV_FB_USED{gpu="2",container="engine",namespace="team-b",pod="a-1"} 0
DCGM_FI_DEV_FB_FREE{gpu="0",container="engine",namespace="team-a",pod="a-1"} 11000
DCGM_FI_DEV_FB_FREE{gpu="1",container="engine",namespace="team-a",pod="a-1"} 10999
DCGM_FI_DEV_FB_FREE{gpu="2",container="engine",namespace="team-b",pod="a-1"} 81000
DCGM_FI_DEV_POWER_USAGE{gpu="0",container="engine",namespace="team-a",pod="a-1"} 300
"""
ASCEND = """# TYPE npu_chip_info_utilization gauge
npu_chip_info_utilization{id="0",model_name="910B3",namespace="team-a",pod_name="b-1",container_name="engine"} 3 176
npu_chip_info_hbm_used_memory{id="0",namespace="team-a",pod_name="b-1"} 30000 1767225600000
npu_chip_info_hbm_total_memory{id="0",namespace="team-a",pod_name="b-1"} 65536 1767225600000
npu_chip_info_utilization{id="1",namespace="",pod_name=""} 0 1767225600000
"""


def vllm(tokens: int, running: int = 0, cache: float = 0.0) -> str:
    lines = [
        "# TYPE vllm:num_requests_running gauge",
        f'vllm:num_requests_running{{engine="0",model_name="tiny"}} {running}.0',
        f'vllm:num_requests_running{{engine="1",model_name="tiny"}} {running}.0',
        'vllm:num_requests_waiting{engine="0",model_name="tiny"} 1.0',
        f'vllm:kv_cache_usage_perc{{engine="0",model_name="tiny"}} {cache}',
        "# TYPE vllm:generation_tokens_total counter",
        f'vllm:generation_tokens_total{{engine="0",model_name="tiny"}} {tokens}.0',
    ]
    return "\n".join(lines) + "\n"


def test_m11_compute_on_average_and_memory_together_of_the_pods_devices() -> None:
    found = devices_of(DCGM, NVIDIA)
    assert found.keys() == {("team-a", "a-1"), ("team-b", "a-1")}
    busy = {"computePercent": 60, "memoryMib": 140001, "memoryTotalMib": 162000}
    assert found["team-a", "a-1"].row() == busy
    assert found["team-b", "a-1"].row() == {"computePercent": 0, "memoryMib": 0, "memoryTotalMib": 81000}, "0 when idle"
    ascend = devices_of(NPU, ASCEND)
    assert {key: devices.row() for key, devices in ascend.items()} == {
        ("team-a", "b-1"): {"computePercent": 3, "memoryMib": 30000, "memoryTotalMib": 65536}
    }


def test_m11_an_engines_figures() -> None:
    said = engine(vllm(1000), vllm(1500, running=2, cache=0.123), 2.5)
    assert said == {"running": 4, "waiting": 1, "cachePercent": 13, "tokensPerSecond": 200}
    assert engine(vllm(1000), vllm(7), 2.0)["tokensPerSecond"] == 0, "it was restarted in between"
    with pytest.raises(ValueError, match="vllm:generation_tokens_total"):
        engine("", "up 1\n", 2.0)


def test_m11_nobody_who_says_so_is_a_dash() -> None:
    pod = {
        "metadata": {"name": "a-1", "namespace": "team-a", "labels": {"maas-operator.io/service": "a"}},
        "spec": {"nodeName": "n1"},
    }
    bare = row(pod, {("team-b", "a-1"): Devices([50.0], 1, 2)}, {})
    assert tables.render(COLUMNS, [bare], "table").splitlines()[1].split() == ["a", "a-1", "n1", *["-"] * 7]
    full = row(pod, {("team-a", "a-1"): Devices([0.0], 0, 2)}, {"a-1": engine(vllm(0), vllm(0), 1)})
    assert tables.render(COLUMNS, [full], "table").splitlines()[1].split()[3:] == ["0", "0", "2", "0", "1", "0", "0"]


@pytest.mark.parametrize(
    ("labels", "ports", "exporters", "port"),
    [
        ({"app": "nvidia-dcgm-exporter"}, [], [DCGM], 9400),
        ({"app.kubernetes.io/name": "dcgm-exporter"}, [{"containerPort": 9401}], [DCGM], 9401),
        ({"app": "npu-exporter"}, [], [NPU_310P, NPU], 8082),
        ({"app.kubernetes.io/name": "metrics-exporter"}, [], [AMD], 5000),
    ],
)
def test_m11_exporters_by_their_usual_labels(
    labels: dict[str, str], ports: list[object], exporters: list[object], port: int
) -> None:
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"ports": ports}, {}]}}
    assert exporters_of(pod) == (exporters, port)
    (label, app), *_ = labels.items()
    assert any(each.startswith(f"{label} in (") and app in each for each in selectors())


def test_m11_one_exporter_tells_of_chips_with_and_without_hbm() -> None:
    text = (
        ASCEND
        + """npu_chip_info_used_memory{id="0",namespace="team-a",pod_name="b-1"} 0
npu_chip_info_total_memory{id="0",namespace="team-a",pod_name="b-1"} 0
npu_chip_info_utilization{id="9",namespace="team-a",pod_name="c-1"} 12
npu_chip_info_used_memory{id="9",namespace="team-a",pod_name="c-1"} 9000
npu_chip_info_total_memory{id="9",namespace="team-a",pod_name="c-1"} 21527
"""
    )
    possible, _ = exporters_of({"metadata": {"labels": {"app": "npu-exporter"}}, "spec": {"containers": []}})
    found = devices_on(possible, text)
    assert found["team-a", "b-1"].total == 65536
    assert found["team-a", "c-1"] == Devices([12.0], 9000, 21527)
