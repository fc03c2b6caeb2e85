"""Stub libraries, made with the assembler and the linker alone: functions that return 0, and zeroed data."""

import re
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from .symbols import Symbol

TYPE_INFO = "_ZTI"
# Two functions of torch 2.13 are called while the library loads, so that returning 0 is not enough.
GIL_CHECKER = "_ZN4c10d15get_gil_checkerEv"
NCCL_OPTIONS = re.compile(r"_ZN4c10d16ProcessGroupNCCL7OptionsC[12]Eb")


def make_stub(soname: str, symbols: Mapping[str, Symbol], work: Path) -> bytes:
    """Return the content of a shared library `soname` that defines `symbols`; `work` is a folder for passing files."""
    source, compiled, versions, library = (work / f"stub.{suffix}" for suffix in ("s", "o", "map", "so"))
    source.write_text("\n".join(_assembly(symbols)) + "\n")
    subprocess.run(["as", "-o", compiled, source], check=True)
    link: list[str | Path] = [
        "ld",
        "-shared",
        "-o",
        library,
        compiled,
        "-soname",
        soname,
        "--no-as-needed",
        "-l:libstdc++.so.6",
    ]
    if script := _version_script(symbols):
        versions.write_text(script)
        link.append(f"--version-script={versions}")
    subprocess.run(link, check=True)
    return library.read_bytes()


def _version_script(symbols: Mapping[str, Symbol]) -> str:
    by_version: defaultdict[str, list[str]] = defaultdict(list)
    for name, symbol in symbols.items():
        if symbol.version:
            by_version[symbol.version].append(f"{name};")
    return "".join(f"{version} {{ global: {' '.join(names)} }};\n" for version, names in by_version.items())


def _assembly(symbols: Mapping[str, Symbol]) -> Iterable[str]:
    yield ".text"
    for name, symbol in symbols.items():
        yield from _definition(name, symbol)
    yield '.section .note.GNU-stack,"",@progbits'


def _definition(name: str, symbol: Symbol) -> list[str]:
    if name.startswith(TYPE_INFO):  # a std::type_info, compared by its name
        vtable = "_ZTVN10__cxxabiv117__class_type_infoE"
        return _data(name, 24, [f".quad {vtable}+16, 1f, 0", f'1: .asciz "{name.removeprefix(TYPE_INFO)}"'])
    if symbol.kind in {"OBJECT", "TLS"}:
        size = max(symbol.size, 64)
        return _data(name, size, [f".zero {size}"])
    if name == GIL_CHECKER:  # returns a reference that libtorch_python writes to
        return [*_function(name, ["leaq 2f(%rip), %rax"]), '.section .data.rel,"aw"', "2: .zero 64", ".text"]
    if NCCL_OPTIONS.fullmatch(name):  # a default argument: constructs an empty c10d::Backend::Options of 8 + 144 bytes
        return _function(
            name,
            [
                "movq _ZTVN4c10d7Backend7OptionsE@GOTPCREL(%rip), %rax",
                "addq $16, %rax",
                "movq %rax, (%rdi)",
                "addq $8, %rdi",
                "xorl %eax, %eax",
                "movl $18, %ecx",
                "cld",
                "rep stosq",
            ],
        )
    return _function(name, ["xorl %eax, %eax"])


def _function(name: str, body: list[str]) -> list[str]:
    return [f'.globl "{name}"', f'.type "{name}", @function', f'"{name}":', *body, "ret", f'.size "{name}", .-"{name}"']


def _data(name: str, size: int, body: list[str]) -> list[str]:
    start = ['.section .data.rel,"aw"', ".balign 16", f'.globl "{name}"', f'.type "{name}", @object']
    return [*start, f'.size "{name}", {size}', f'"{name}":', *body, ".text"]
