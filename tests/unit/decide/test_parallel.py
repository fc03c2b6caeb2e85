"""M4: how an instance's devices share its work."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maas_operator.api.resourcepool import Flavor
from maas_operator.decide.parallel import Parallelism, arguments, devices, parallelism


def flavor(count: int | None, hosts: int | None = None) -> Flavor:
    accelerator = {"type": "nvidia", "count": count} if count else None
    return Flavor.model_validate(
        {"name": "one", "cpu": "1", "memory": "1Gi", "hosts": hosts} | ({"accelerator": accelerator} if count else {})
    )


@pytest.mark.parametrize(
    ("count", "hosts", "args", "shared", "said"),
    [
        (1, None, [], (1, 1, 1), []),
        (8, None, [], (8, 1, 1), ["--tensor-parallel-size=8"]),
        (8, 2, [], (8, 2, 1), ["--tensor-parallel-size=8", "--pipeline-parallel-size=2"]),
        (1, 2, [], (1, 2, 1), ["--pipeline-parallel-size=2"]),
        (None, None, [], (1, 1, 1), []),
        (None, 2, [], (2, 1, 1), ["--tensor-parallel-size=2"]),
        (None, 2, ["--pipeline-parallel-size=2"], (1, 2, 1), []),
        (None, 2, ["--tensor-parallel-size=2"], (2, 1, 1), []),
        (8, 2, ["--tensor-parallel-size", "16"], (16, 1, 1), []),
        (8, 2, ["-tp", "4"], (4, 4, 1), ["--pipeline-parallel-size=4"]),
        (8, 2, ["--pipeline-parallel-size=1"], (16, 1, 1), ["--tensor-parallel-size=16"]),
        (8, 2, ["--data-parallel-size=4", "--tensor-parallel-size=4"], (4, 1, 4), []),
        (8, 2, ["--data_parallel_size=16"], (1, 1, 16), []),
        (8, 2, ["--data-parallel-size=2"], (8, 1, 2), ["--tensor-parallel-size=8"]),
        (8, None, ["--data-parallel-size=2"], (4, 1, 2), ["--tensor-parallel-size=4"]),
        (8, None, ["--tensor-parallel-size=4"], (4, 1, 1), []),
        (8, 2, ["-tp=8", "--tensor-parallel-size=4"], (4, 4, 1), ["--pipeline-parallel-size=4"]),
        (8, 2, ["--tensor-parallel-size=many"], (8, 2, 1), ["--tensor-parallel-size=8", "--pipeline-parallel-size=2"]),
        (8, 2, ["--tensor-parallel-size"], (8, 2, 1), ["--tensor-parallel-size=8", "--pipeline-parallel-size=2"]),
    ],
)
def test_tensor_parallel_in_a_host_pipeline_parallel_across_unless_the_arguments_say_otherwise(
    count: int | None, hosts: int | None, args: list[str], shared: tuple[int, int, int], said: list[str]
) -> None:
    assert parallelism(flavor(count, hosts), args) == Parallelism(*shared)
    assert arguments(flavor(count, hosts), args) == said


SIZES = st.sampled_from([1, 2, 4, 8, 16])


@given(st.none() | SIZES, SIZES, st.dictionaries(st.sampled_from(["tensor", "pipeline", "data"]), SIZES))
def test_no_more_devices_are_used_than_there_are_where_the_arguments_leave_it_open(
    count: int | None, hosts: int, said: dict[str, int]
) -> None:
    one = flavor(count, hosts)
    args = [f"--{name}-parallel-size={size}" for name, size in said.items()]
    shared = parallelism(one, args)
    for name, size in said.items():
        assert getattr(shared, name) == size
    used = shared.tensor * shared.pipeline * shared.data
    if len(said) < 3 and hosts > 1:
        least = 1
        for size in said.values():
            least *= size
        assert used <= max(devices(one), least)
        assert used == devices(one) or least > devices(one) or devices(one) % least or "tensor" in said
