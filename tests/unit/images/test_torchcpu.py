"""Converting torch's wheel: what is stubbed, and that the wheel's record agrees with what is in it."""

import sys
import zipfile
from pathlib import Path

import pytest

from tests.images.catalogue import IMAGES

sys.path.append(str(IMAGES["engine-cpu"].folder))
needs = pytest.importorskip("torchcpu.needs")
symbols = pytest.importorskip("torchcpu.symbols")
wheel = pytest.importorskip("torchcpu.wheel")


def test_only_what_nobody_else_has_is_stubbed() -> None:
    wanted = symbols.Symbol("NOTYPE", "GLOBAL", "", 0)
    versioned = symbols.Symbol("FUNC", "GLOBAL", "libcudart.so.13", 0)
    function = symbols.Symbol("FUNC", "GLOBAL", "", 12)
    kept = {
        "torch/lib/libtorch_python.so": symbols.Library(
            needed=["libtorch_cuda.so", "libcudart.so.13", "libc.so.6", "libcusparseLt.so.0"],
            undefined={
                "launch": wanted,
                "shared": wanted,
                "cudaMalloc": versioned,
                "printf": wanted,
                "ncclSend": wanted,
            },
        ),
        "torch/lib/libtorch_cpu.so": symbols.Library(defined={"shared": function}),
    }
    dropped = {"torch/lib/libtorch_cuda.so": symbols.Library(defined={"launch": function, "shared": function})}
    stubs = needs.libraries_needed(kept, dropped)
    assert {soname: sorted(of_one) for soname, of_one in stubs.items()} == {
        "libcudart.so.13": ["cudaMalloc"],
        "libcusparseLt.so.0": [],
        "libnccl.so.2": ["ncclSend"],
        "libtorch_cuda.so": ["launch"],
    }


def test_the_rewritten_wheel_says_cpu_everywhere(tmp_path: Path) -> None:
    source = tmp_path / "torch-2.13.0-cp311-cp311-linux_x86_64.whl"
    with zipfile.ZipFile(source, "w") as original:
        original.writestr("torch/version.py", "__version__ = '2.13.0'\ncuda: Optional[str] = '13.0'\n")
        original.writestr("torch/lib/libtorch_cuda.so", "large")
        original.writestr("torch/include/torch.h", "header")
        original.writestr(
            "torch-2.13.0.dist-info/METADATA", "Version: 2.13.0\nRequires-Dist: nvidia-nccl==2\nRequires-Dist: sympy\n"
        )
        original.writestr("torch-2.13.0.dist-info/RECORD", "")
    target = wheel.rewrite(
        source, tmp_path / "out", ("torch/lib/libtorch_cuda.so",), {"torch/lib/libnccl.so.2": b"stub"}
    )
    assert target.name == "torch-2.13.0+cpu-cp311-cp311-linux_x86_64.whl"
    with zipfile.ZipFile(target) as written:
        content = {name: written.read(name).decode() for name in written.namelist()}
    record = content.pop("torch-2.13.0+cpu.dist-info/RECORD")
    assert content == {
        "torch/version.py": "__version__ = '2.13.0+cpu'\ncuda: Optional[str] = None\n",
        "torch-2.13.0+cpu.dist-info/METADATA": "Version: 2.13.0+cpu\nRequires-Dist: sympy\n",
        "torch/lib/libnccl.so.2": "stub",
    }
    assert [line.partition(",")[0] for line in record.splitlines()] == [*content, "torch-2.13.0+cpu.dist-info/RECORD"]
