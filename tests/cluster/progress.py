"""One line a step, on standard output, at once."""


def say(line: str) -> None:
    print(line, flush=True)
