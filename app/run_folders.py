"""Names of new run folders."""

from __future__ import annotations

import itertools
import re
import time
from pathlib import Path


def new_run_folder(parent: Path, title: str) -> Path:
    """A folder name that isn't taken, from the title and the time.

    Parameters
    ----------
    parent : where run folders are made.
    title : what the user calls the run; may be empty.
    """
    slug = re.sub(r"[^A-Za-z0-9._-]+", "-", title).strip("-.") or "run"
    base = parent / f"{time.strftime('%Y-%m-%d_%H%M%S')}_{slug[:60]}"
    candidates = itertools.chain([base], (base.with_name(f"{base.name}-{i}") for i in itertools.count(2)))
    return next(path for path in candidates if not path.exists())
