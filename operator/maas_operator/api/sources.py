"""Where weights come from, and in which folder of a cache they lie: what the operator mounts, the fetching fills."""

import re
from dataclasses import dataclass
from enum import StrEnum

from maas_operator.api.fields import digest

MANIFEST = ".maas-manifest.json"
"""In a folder of a cache: what is in it. Only a folder that was fetched whole and verified has one."""


class Scheme(StrEnum):
    """The kinds of sources."""

    HUGGING_FACE = "hf"
    MODEL_SCOPE = "modelscope"
    S3 = "s3"
    IMAGE = "oci"
    CLAIM = "pvc"


NAMES = {Scheme.HUGGING_FACE: "Hugging Face", Scheme.MODEL_SCOPE: "ModelScope", Scheme.S3: "S3"}
"""What the sources that weights are fetched from are called."""
BRANCHES = {Scheme.HUGGING_FACE: "main", Scheme.MODEL_SCOPE: "master"}
"""Which revision a hub gives where none is named."""


@dataclass(frozen=True, slots=True)
class Source:
    """A version's source, taken apart."""

    scheme: Scheme
    name: str
    """OWNER/NAME of a hub, the bucket, the image, the claim."""
    within: str = ""
    """The revision of a hub, the prefix in a bucket, the folder of a claim."""

    @property
    def fetched(self) -> bool:
        """Whether the weights come over the network, file by file."""
        return self.scheme in NAMES

    def folder(self, account: str | None = None) -> str:
        """The folder of a cache that has the weights, relative to the cache. account: whose credentials they were
        fetched with; what needed any is for nobody else."""
        if self.scheme == Scheme.S3:
            last = f"{re.sub(r'[^A-Za-z0-9._-]+', '-', self.within).strip('-')}@{digest(self.within)[:8]}"
        else:
            last = self.within or BRANCHES[self.scheme]
        place = f"{self.scheme}/{self.name}/{last}" if self.scheme == Scheme.S3 else f"{self.scheme}/{self.name}@{last}"
        return f"accounts/{account}/{place}" if account else f"shared/{place}"


def read(text: str) -> Source:
    """A source as a Model's version writes it. Raises ValueError for what is none."""
    scheme, found, rest = text.partition("://")
    if not found or scheme not in set(Scheme):
        raise ValueError(f"{text} is no source: it begins with none of {', '.join(f'{each}://' for each in Scheme)}")
    kind = Scheme(scheme)
    if kind == Scheme.IMAGE:
        return Source(kind, rest)
    if kind in BRANCHES:
        name, _, within = rest.partition("@")
        return Source(kind, name, within)
    name, _, within = rest.partition("/")
    return Source(kind, name, within.strip("/") if kind == Scheme.S3 else within)
