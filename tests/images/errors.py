"""What can go wrong with an image, beside PrerequisitesError."""

from tests.cluster.errors import ClusterError


class ImageError(ClusterError):
    """A step of a build failed; the message names the step and its log, and shows the log's end."""
