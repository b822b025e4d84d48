"""The addresses of the project, which hatchling asks for when it builds: one variable says where the project lives."""

from __future__ import annotations

import os
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

PLACEHOLDER = "https://example.org/mlpbench"


class Addresses(MetadataHookInterface):
    """Fills ``urls`` of the metadata from the variable MLPBENCH_URL."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set the addresses, those of the placeholder where nobody has named one."""
        url = os.environ.get("MLPBENCH_URL", PLACEHOLDER).rstrip("/")
        metadata["urls"] = {
            "Homepage": url,
            "Documentation": f"{url}/tree/main/docs",
            "Changelog": f"{url}/blob/main/CHANGELOG.md",
            "Issues": f"{url}/issues",
        }
