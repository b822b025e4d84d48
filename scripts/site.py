"""Functions that mkdocs calls: the menu is that of docs/README.md, links to other folders lead to the repository."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent.parent / "docs"


def on_config(config: Any) -> Any:
    """Set the menu: a group for each bold row of the table, a page for each link below it."""
    groups: dict[str, list[dict[str, str]]] = {}
    for line in (DOCS / "README.md").read_text(encoding="utf-8").splitlines():
        if group := re.match(r"\| \*\*(.+)\*\* \|", line):
            pages = groups.setdefault(group[1], [])
        elif page := re.match(r"\| .+ \| \[(.+)\]\((.+)\) \|", line):
            pages.append({page[1][0].upper() + page[1][1:]: page[2]})
    config.nav = [{"All pages": "README.md"}, *({group: pages} for group, pages in groups.items())]
    return config


def on_page_markdown(markdown: str, config: Any, **_: Any) -> str:
    """Return a page whose links to files beside docs/ lead to the repository."""
    return re.sub(
        r"\]\((?:\.\./)+(?=[A-Z]+\.md|bench/|results/)", f"]({config.repo_url.rstrip('/')}/blob/main/", markdown
    )
