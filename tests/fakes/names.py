"""Full names of resources: projects/p/locations/l/things/t."""

import re

from fakes.refusal import Refused


class Name:
    """The pattern of a kind of resource's names.

    pattern  "projects/{project}/locations/{location}/queues/{queue}"
    ids      what the last id may look like, as a regular expression
    """

    def __init__(self, pattern: str, ids: str = r"[^/]+") -> None:
        self.pattern = pattern
        collections = [part for part in pattern.split("/") if part.startswith("{")]
        expression = re.escape(pattern).replace(r"\{", "{").replace(r"\}", "}")
        for part in collections:
            text = ids if part == collections[-1] else r"[^/]+"
            expression = expression.replace(part, f"(?P<{part[1:-1]}>{text})")
        self._expression = re.compile(expression)

    def parse(self, name: str) -> dict[str, str]:
        """Return the ids in a name. raises Refused (INVALID_ARGUMENT)."""
        match = self._expression.fullmatch(name)
        if match is None:
            raise Refused("INVALID_ARGUMENT", f"{name!r} is not a name of the form {self.pattern}")
        return match.groupdict()

    def fits(self, name: str) -> bool:
        """Tell whether a name is of this kind."""
        return self._expression.fullmatch(name) is not None
