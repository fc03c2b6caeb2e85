"""Which libraries of CUDA must be stubbed, and with which symbols."""

import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import PurePosixPath

from .symbols import Library, Symbol

CUDA = re.compile(r"lib(cudart|cupti|cudnn|cufile|nccl|cusparse|cublas|cufft|curand|nvrtc|cusolver|nvshmem)")
# Libraries whose symbols carry no version, told by the beginning of the symbol's name.
UNVERSIONED = {"cuFile": "libcufile.so.0", "nccl": "libnccl.so.2"}


def libraries_needed(kept: Mapping[str, Library], dropped: Mapping[str, Library]) -> dict[str, dict[str, Symbol]]:
    """Return the symbols to stub, by the soname of the library that has them, both sorted by name.

    A library that is linked but of which no symbol is used gets an entry too: the loader wants to find it.
    """
    dropped_sonames = {PurePosixPath(path).name for path in dropped}
    available = {name for library in kept.values() for name in library.defined}
    gone = {name: symbol for library in dropped.values() for name, symbol in library.defined.items()}
    stubs: defaultdict[str, dict[str, Symbol]] = defaultdict(dict)
    for library in kept.values():
        for soname in library.needed:
            if CUDA.match(soname) or soname in dropped_sonames:
                stubs[soname].update({})
        for name, wanted in library.undefined.items():
            unversioned = next((soname for start, soname in UNVERSIONED.items() if name.startswith(start)), None)
            if CUDA.match(wanted.version):
                stubs[wanted.version][name] = Symbol("FUNC", wanted.binding, wanted.version, 0)
            elif unversioned:
                stubs[unversioned][name] = Symbol("FUNC", wanted.binding, "", 0)
            elif wanted.version or wanted.binding != "GLOBAL" or name in available:
                continue
            elif name in gone and gone[name].binding in {"GLOBAL", "WEAK", "UNIQUE"}:
                stubs["libtorch_cuda.so"][name] = Symbol(gone[name].kind, "GLOBAL", "", gone[name].size)
    return {soname: dict(sorted(stubs[soname].items())) for soname in sorted(stubs)}
