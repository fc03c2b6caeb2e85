"""Filters that are Lua scripts of this folder."""

from collections.abc import Mapping
from importlib.resources import files
from json import dumps

from maas_operator.gateway.envoy.proto import Config, extension

GUARD = "guard.lua"


def script(name: str) -> str:
    """A script's text."""
    return files(__package__).joinpath(name).read_text()


def lua(name: str, constants: Mapping[str, object], *scripts: str) -> Config:
    """A filter of these scripts, one after another; before them the constants, and the guard of what they do."""
    # what JSON writes of these values is Lua too
    code = "".join(f"local {constant} = {dumps(value)}\n" for constant, value in constants.items())
    code += "".join(map(script, (GUARD, *scripts)))
    return extension(
        name,
        "envoy.extensions.filters.http.lua.v3.Lua",
        default_source_code={"inline_string": code},
        clear_route_cache=False,
    )
