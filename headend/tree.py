"""Files of the project that are no Python: from the source tree, or from the copy inside an installed package."""

from __future__ import annotations

from pathlib import Path

from profiles.errors import SettingsError


def project_file(name: str) -> Path:
    """`config/rollout.csv` and the like. Raises SettingsError when the installation lacks it."""
    for root in (Path(__file__).parent / "_tree", Path(__file__).parent.parent):
        if (root / name).is_file():
            return root / name
    raise SettingsError(f"this installation lacks {name}", remedy="install the package again")
