"""Sample calls in Markdown, so that what people copy is what is run."""

import re
from pathlib import Path


def snippet(page: Path, heading: str, language: str) -> str:
    """The first fenced block of a language below a heading. Raises LookupError where there is none."""
    _, found, below = page.read_text().partition(f"\n## {heading}\n")
    block = re.search(rf"^```{language}\n(.*?)^```$", below.partition("\n## ")[0], re.MULTILINE | re.DOTALL)
    if not found or not block:
        raise LookupError(f"{page.name} has no {language} block below '## {heading}'")
    return block[1]
