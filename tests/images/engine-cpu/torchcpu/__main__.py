"""Converts one wheel of torch: `python -m torchcpu torch-<version>-<tags>.whl FOLDER`.

In the CUDA wheel the CPU code (libtorch_cpu, libc10) is the same as in a CPU build. Only libtorch_python and
libtorch_cpu are linked against some 200 symbols of CUDA's libraries. Those libraries are left out and replaced by
stubs whose functions answer 0: "no device".
"""

import sys
import tempfile
import zipfile
from pathlib import Path

from .needs import libraries_needed
from .stubs import make_stub
from .symbols import read_library
from .wheel import rewrite

KEPT = tuple(
    f"torch/lib/{name}.so"
    for name in ("libtorch_python", "libtorch_cpu", "libc10_cuda", "libtorch_global_deps", "libshm", "libtorch")
)
DROPPED = tuple(
    f"torch/lib/{name}.so" for name in ("libtorch_cuda", "libtorch_cuda_linalg", "libtorch_nvshmem", "libcaffe2_nvrtc")
)


def convert(source: Path, folder: Path) -> Path:
    """Write the CPU wheel of the wheel `source` into `folder`; return its path."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        with zipfile.ZipFile(source) as wheel:
            wheel.extractall(work, KEPT + DROPPED)
        kept = {path: read_library(work / path) for path in KEPT}
        dropped = {path: read_library(work / path) for path in DROPPED}
        stubs = {}
        for soname, symbols in libraries_needed(kept, dropped).items():
            stubs[f"torch/lib/{soname}"] = make_stub(soname, symbols, work)
            sys.stdout.write(f"stub {soname}: {len(symbols)} symbols\n")
        return rewrite(source, folder, dropped=DROPPED, added=stubs)


if __name__ == "__main__":
    sys.stdout.write(f"{convert(Path(sys.argv[1]), Path(sys.argv[2]))}\n")
