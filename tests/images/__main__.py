"""`python -m tests.images build [NAME ...]`: build the images into the cache (all of them by default)."""

import argparse
import sys

from tests.cluster.errors import ClusterError, PrerequisitesError
from tests.images import NAMES, archive, reference


def main(arguments: list[str]) -> int:
    """Return 0, 1 if a build failed, 2 if this machine lacks something."""
    parser = argparse.ArgumentParser(prog="python -m tests.images", description="The images of the demo and the tests.")
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser("build", help="build images into the cache")
    build.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(NAMES)}; all by default")
    names = parser.parse_args(arguments).names or NAMES
    if unknown := [name for name in names if name not in NAMES]:
        parser.error(f"no image is called {', '.join(unknown)}; there are {', '.join(NAMES)}")
    try:
        for name in names:
            print(f"{archive(name)}  {reference(name)}")
    except ClusterError as error:
        print(error, file=sys.stderr)
        return 2 if isinstance(error, PrerequisitesError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
