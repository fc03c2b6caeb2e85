"""The images as data."""

from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
REPOSITORY = HERE.parent.parent
REGISTRY = "localhost/maas-operator"


@dataclass(frozen=True)
class Image:
    """One image, built from a Dockerfile in `folder`.

    `usual_seconds`: for the Dockerfile, on 2 cores.
    `tag`: "" where the tag must follow the content, so that a change of the source is another image to a pod.
    `inputs`: what goes in beside the Dockerfile, files or folders of `folder`.
    `base`: the image that the Dockerfile's ARG BASE stands for.
    `keep_steps`: keep what each step of the Dockerfile made, for the next build.
    `architecture`: "" where any will do.
    """

    name: str
    usual_seconds: int
    tag: str = ""
    folder: Path = HERE
    inputs: tuple[str, ...] = ()
    base: str = ""
    keep_steps: bool = False
    architecture: str = ""


IMAGES = {
    image.name: image
    for image in (
        Image(
            "base-python",
            usual_seconds=15,
            tag="bookworm-py3.11",
            folder=HERE / "base-python",
            inputs=("packages.txt",),
        ),
        Image(
            "operator",
            usual_seconds=45,
            folder=REPOSITORY,
            inputs=("requirements.txt", "pyproject.toml", "operator"),
            base="base-python",
            keep_steps=True,
        ),
        Image(
            "engine-cpu",
            usual_seconds=180,
            tag="vllm-0.32.0",
            folder=HERE / "engine-cpu",
            inputs=("requirements.txt", "torchcpu"),
            base="base-python",
            architecture="x86_64",
        ),
        Image(
            "model-tiny",
            usual_seconds=10,
            tag="1",
            folder=HERE / "model-tiny",
            inputs=("make_tiny_model.py",),
            base="engine-cpu",
        ),
        Image(
            "model-smollm2-135m-instruct",
            usual_seconds=45,
            tag="1",
            folder=HERE / "model-smollm2-135m-instruct",
            inputs=("requirements.txt", "convert_gguf.py"),
            base="engine-cpu",
        ),
    )
}
