"""The printed tables in a page of the documentation."""

import re
from collections.abc import Mapping


def updated(page: str, texts: Mapping[str, str]) -> str:
    """The page with each text in its place: the block fenced as ``text`` under the comment ``<!-- NAME -->``.

    ValueError for a name that has no such place.
    """
    for name, text in texts.items():
        place = re.compile(rf"(<!-- {re.escape(name)} -->\n+```text\n).*?(```\n)", re.DOTALL)
        page, found = place.subn(lambda match, text=text: f"{match[1]}{text}\n{match[2]}", page)  # type: ignore[misc]
        if found != 1:
            raise ValueError(f"Page must have one place for {name!r}, not {found!r}")
    return page
