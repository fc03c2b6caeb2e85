"""What a shared library needs, leaves undefined and defines, as `readelf` tells it."""

import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

NEEDED = re.compile(r"\(NEEDED\).*\[(?P<soname>.*)\]")
INDEX = re.compile(r"\d+:")


@dataclass(frozen=True)
class Symbol:
    """One dynamic symbol: its ELF type (FUNC, OBJECT, TLS ...), binding, version ("" for none) and size in bytes."""

    kind: str
    binding: str
    version: str
    size: int


@dataclass
class Library:
    """A shared library's own words: the sonames it needs, and its symbols by name."""

    needed: list[str] = field(default_factory=list)
    undefined: dict[str, Symbol] = field(default_factory=dict)
    defined: dict[str, Symbol] = field(default_factory=dict)


def read_library(path: Path) -> Library:
    """Read the dynamic section and the dynamic symbols of the library at `path`."""
    listing = subprocess.run(
        ["readelf", "--wide", "--dynamic", "--dyn-syms", path], capture_output=True, text=True, check=True
    ).stdout
    library = Library()
    for line in listing.splitlines():
        if needed := NEEDED.search(line):
            library.needed.append(needed["soname"])
        elif symbol := _symbol(line):
            name, is_undefined, facts = symbol
            (library.undefined if is_undefined else library.defined)[name] = facts
    return library


def _symbol(line: str) -> tuple[str, bool, Symbol] | None:
    """Parse "7: 0000 24 OBJECT GLOBAL DEFAULT UND name@version (3)"; None for any other line."""
    words = line.split()
    if len(words) < 8 or not INDEX.fullmatch(words[0]):
        return None
    _, _, size, kind, binding, _, section, label = words[:8]
    name, _, version = label.replace("@@", "@").partition("@")
    return name, section == "UND", Symbol(kind, binding, version, int(size, 0))
