"""The images that the demo and the tests run, built on this machine and cached outside the checkout.

    python -m tests.images build [NAME ...]

    archive(name)     the path of the image's OCI archive, built now if the cache lacks it
    reference(name)   the image's name as manifests must have it
    NAMES             what there is

Raises `ImageError` where a build fails and `PrerequisitesError` where this machine lacks what building needs; both are
a `ClusterError`. A name that is not in NAMES is a KeyError.
"""

from tests.images.archives import archive
from tests.images.catalogue import IMAGES
from tests.images.errors import ImageError
from tests.images.inputs import reference

NAMES = tuple(IMAGES)

__all__ = ["NAMES", "ImageError", "archive", "reference"]
