"""What is prepared at known poses, as plain values for a saved session: taken down, and put back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app import known_poses_session
from app.known_poses_session import KnownPosesSession
from engine.specs.known_poses import (
    KnownPosesSpec,
    MethodSpec,
    PosedDenoiserSpec,
    PosedImages,
    PoseRefinement,
    RepresentationSpec,
)
from engine.specs.sds import ClassAveragesInput

_KINDS: dict[str, Any] = {
    "method": MethodSpec, "denoiser": PosedDenoiserSpec, "representation": RepresentationSpec,
    "refinement": PoseRefinement,
}  # fmt: skip


def capture(session: KnownPosesSession) -> dict[str, Any]:
    """Everything that the user has given."""
    return {
        "files": {role: str(path) for role, path in session.files.items()},
        "images": dict(session.options),
        "library": dict(session.library_options),
        "settings": dict(session.settings),
        **{name: dict(part) for name, part in session.parts.items()},
    }


def files_of(state: Any) -> Iterator[str]:
    """Every file that a state names."""
    files = state.get("files") if isinstance(state, dict) else None
    yield from (p for p in files.values() if isinstance(p, str) and p) if isinstance(files, dict) else ()


def put_back(session: KnownPosesSession, state: dict[str, Any], gone: set[str]) -> None:
    """Prepare what was prepared. Files that have ``gone`` are passed over, and values that don't fit."""
    from app.session_state import _table, _valid, fitting

    named = _table(state, "files")
    kept = {
        role: Path(path)
        for role, path in named.items()
        if role in known_poses_session.FILES and isinstance(path, str) and path and path not in gone
    }
    if "poses" not in kept:
        kept.pop("images", None)
    denoiser = state.get("denoiser")
    if isinstance(denoiser, dict) and denoiser.get("kind") == "trained" and not denoiser.get("weights"):
        parts = {"denoiser": {"kind": "trained", "weights": ""}}  # chosen, but no file yet
    else:
        parts = {"denoiser": _valid(PosedDenoiserSpec, denoiser, session.parts["denoiser"])}
    parts |= {
        name: _valid(kind, state.get(name), session.parts[name])
        for name, kind in _KINDS.items()
        if name != "denoiser"
    }
    images = fitting(PosedImages, _table(state, "images"), known_poses_session.OPTIONS, {"poses": "x"})
    library = fitting(
        ClassAveragesInput, _table(state, "library"), known_poses_session.LIBRARY_OPTIONS, {"file": "x"}
    )
    settings = fitting(
        KnownPosesSpec, _table(state, "settings"), known_poses_session.SETTINGS, {"images": {"poses": "x"}}
    )
    session.replace(kept, images, library, settings, parts)
