"""The list of things that the user has given: plain state, no widgets."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from app.checking import Checked
from engine.specs.components import (
    CoarseMap,
    CoarsePoints,
    Model,
    ProjectionImages,
    ProjectionPoints,
    Subunit,
)

TRUTH = "truth"
ROLE_WORDS = {
    "projection_images": "Projections with poses",
    "projection_points": "One projection as points",
    "coarse_map": "Low-resolution map",
    "coarse_points": "Low-resolution shape",
    "subunit": "Known part (subunit)",
    TRUTH: "Reference to judge by, not used as input",
}
ROLES_OF = {
    "projections": ("projection_images",),
    "images": ("projection_images",),
    "poses": ("projection_images",),
    "points2d": ("projection_points",),
    "points3d": ("coarse_points", TRUTH),
    "volume": ("coarse_map", TRUTH),
    "structure": ("subunit", "coarse_points", TRUTH),
}
MODELS: dict[str, type[Model]] = {
    "projection_images": ProjectionImages,
    "projection_points": ProjectionPoints,
    "coarse_map": CoarseMap,
    "coarse_points": CoarsePoints,
    "subunit": Subunit,
}
PATH_FIELDS = {
    "projection_images": ("images", "poses"),
    "projection_points": ("file",),
    "coarse_map": ("file",),
    "coarse_points": ("file",),
    "subunit": ("file",),
}
SIZE_FIELDS = {"projection_images": "pixel_size_A", "coarse_map": "voxel_size_A"}
PHRASES = {
    "projection_points": "a projection",
    "coarse_map": "a low-resolution map",
    "coarse_points": "a low-resolution shape",
    "subunit": "a known part",
}
UNUSABLE = {
    "clouds": "These are training clouds for a prior, not evidence.",
}

Facts = tuple[tuple[Path, ...], float | None, tuple[int, ...]]


@dataclass
class Evidence:
    """One row of the list.

    Attributes
    ----------
    state : ``checking``, ``ready``, ``incomplete`` (the user must add something) or ``problem``.
    role : a key of ``ROLE_WORDS``; None until the user has chosen.
    options : entered settings of the spec, by field name.
    problem : what is wrong or missing, in words.
    """

    number: int
    paths: tuple[Path, ...]
    state: str = "checking"
    role: str | None = None
    checked: Checked | None = None
    options: dict[str, Any] = field(default_factory=dict)
    problem: str = ""

    @property
    def kind(self) -> str:
        """What the files are; empty while they are being checked."""
        return self.checked.kind if self.checked else ""

    @property
    def roles(self) -> tuple[str, ...]:
        """What it can be used as."""
        return ROLES_OF.get(self.kind, ())

    @property
    def names(self) -> str:
        """The file names."""
        return " + ".join(p.name for p in self.paths)

    @property
    def phrase(self) -> str:
        """The row as a part of a sentence."""
        if self.role == "projection_images" and self.checked:
            return self.checked.title
        return PHRASES.get(self.role or "", self.names)

    @property
    def pixel_size_A(self) -> float | None:
        """The size that the user gave, Å."""
        return self.options.get(SIZE_FIELDS.get(self.role or "", ""))

    @property
    def facts(self) -> Facts:
        """What the answer of :func:`app.checking.check_row` depends on."""
        return self.paths, self.pixel_size_A, tuple(self.options.get("select") or ())

    @property
    def hindrance(self) -> str:
        """Why it keeps a run from starting, in words; empty if it doesn't."""
        if self.state == "checking":
            return f"{self.names} is being checked."
        if self.state == "problem":
            return f"{self.names} can't be used. Remove it or replace it."
        return f"{self.names}: {self.problem}" if self.state == "incomplete" else ""

    def given(self) -> dict[str, Any]:
        """What the user has given."""
        return {"paths": self.paths, "role": self.role, "options": dict(self.options)}

    @property
    def asks_pixel_size(self) -> bool:
        """Whether the user must still say how large a pixel is."""
        return bool(
            self.checked
            and self.checked.needs_pixel_size
            and self.role in SIZE_FIELDS
            and self.pixel_size_A is None
        )

    def judge(self) -> None:
        """Work out ``state`` and ``problem`` from the rest."""
        if self.checked is None:
            return
        self.state, self.problem = "incomplete", ""
        if not self.roles:
            self.state, self.problem = (
                "problem",
                UNUSABLE.get(self.kind, "Verglas can't use this as evidence."),
            )
        elif self.kind == "images":
            self.problem = "The poses are missing. Add the STAR file that belongs to these images."
        elif self.kind == "poses":
            named = ", ".join(Path(name).name for name in (self.checked.image_files or ())[:3])
            self.problem = f"The images are missing. Add the stack{f' ({named})' if named else ''}."
        elif self.role is None:
            self.problem = "Choose what this is."
        elif self.asks_pixel_size:
            self.problem = "The file doesn't say how large a pixel is. Enter it here."
        elif self.role == TRUTH and self.checked.needs_pixel_size:
            self.problem = (
                "Its voxel size is unknown, so it can't be compared with. Correct its header first."
            )
        elif self.role == TRUTH:
            self.state = "ready"
        else:
            try:
                self.spec()
                self.state = "ready"
            except ValueError as exc:
                self.problem = str(exc)

    def use_as(self, role: str | None) -> None:
        """Change the role; settings of the one before that mean something else in it are dropped."""
        self.role = role
        model = MODELS.get(role or "")
        if model is not None:
            values = {k: v for k, v in self.options.items() if k in model.model_fields}
            try:
                model.model_validate(values)
            except ValidationError as exc:
                for item in exc.errors():
                    self.options.pop(str(item["loc"][0]) if item["loc"] else "", None)

    def spec(self) -> Model:
        """The observation that this row stands for. Raises ValueError, in words, if it isn't complete."""
        if self.role not in MODELS:
            raise ValueError("Choose what this is.")
        model = MODELS[self.role]
        values = {k: v for k, v in self.options.items() if k in model.model_fields}
        values |= dict(zip(PATH_FIELDS[self.role], map(str, self.paths), strict=True))
        try:
            return model.model_validate(values)
        except ValidationError as exc:
            from app.forms import label_of

            first = exc.errors()[0]
            name = label_of(str(first["loc"][0])) if first["loc"] else ""
            if first["type"] == "missing":
                raise ValueError(f"Enter the {name[:1].lower() + name[1:]}.") from None
            raise ValueError(f"{name}: {first['msg']}.") from None


def pairable(images: Evidence, poses: Evidence, *, only_ones: bool) -> bool:
    """Whether a STAR file belongs to a stack.

    It names it; or both are the only ones of their kind and what it names isn't there, because stacks
    get renamed.
    """
    if images.kind != "images" or poses.kind != "poses" or poses.checked is None:
        return False
    named = {Path(name).name for name in poses.checked.image_files}
    if images.paths[0].name in named:
        return True
    return only_ones and not any((poses.paths[0].parent / name).is_file() for name in named)


def from_spec(number: int, observation: Model) -> Evidence:
    """A row, still to be checked, for an observation of a loaded spec."""
    role = str(observation.kind)  # type: ignore[attr-defined]
    values = observation.model_dump()
    paths = tuple(Path(values.pop(name)) for name in PATH_FIELDS[role])
    values.pop("kind")
    return Evidence(number, paths, role=role, options=values)
