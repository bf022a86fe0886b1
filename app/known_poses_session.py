"""A volume from images at known poses, being prepared: files, method, denoiser, reference. No widgets."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from PySide6.QtCore import QObject, Signal

from app import known_poses_words
from app.background import Background, words
from app.coverage import Coverage
from app.denoiser_card import DenoiserCard, read_card
from app.forms import first_problem
from app.history import History, Values, below, prefixed, put_items
from app.posed_files import LibraryLook, PosedLook, look_at_images, look_at_library
from engine.specs.known_poses import (
    ASKS_DENOISER,
    TAKES_GAUSSIANS,
    DenoisedViews,
    KnownPosesSpec,
    PosedImages,
    PoseRefinement,
    Voxels,
)
from engine.specs.presets import KNOWN_POSE_PRESETS
from engine.specs.sds import ClassAveragesInput, ClosedFormDenoiser, TrainedDenoiser

SETTINGS = ("title", "symmetry", "noise", "seed", "device")
OPTIONS = ("pixel_size_A", "contrast", "select", "box", "mask_diameter_A", "equal_contrast")
LIBRARY_OPTIONS = ("pixel_size_A", "contrast", "select", "centre", "mask_diameter_A", "box")
FILES = ("poses", "images", "library", "start", "truth")
PARTS = ("method", "denoiser", "representation", "refinement")
FILES_WANTED = (
    "Add the poses: a RELION STAR file or a cryoSPARC .cs file with the images that it names, or the folder "
    "of a finished run."
)
NO_DENOISER = "Choose the file of the trained denoiser, or take the closed form."
MOST_KEPT = 8  # files that were looked at, so that undoing need not read them again


class KnownPosesSession(QObject):
    """A run at known poses being prepared.

    Parameters
    ----------
    background : where files are looked at.
    history : where changes are kept, so that they can be taken back; one of its own by default.

    Attributes
    ----------
    files : path of each of :data:`FILES` that is given. ``poses`` may be the folder of a run.
    options, library_options : how images and library are prepared, as in the specs.
    settings, parts : as in :class:`engine.specs.known_poses.KnownPosesSpec`.
    card : what the chosen weights say about themselves; None while unknown.
    coverage : which directions the images show, once that has been worked out.
    """

    kind = "known_poses"
    changed = Signal()
    loaded = Signal()
    looked = Signal()

    def __init__(
        self, background: Background, parent: QObject | None = None, *, history: History | None = None
    ) -> None:
        super().__init__(parent)
        self.history = history or History(self)
        self._background = background
        self.files: dict[str, Path] = {}
        self.options = {name: PosedImages.model_fields[name].default for name in OPTIONS}
        self.library_options = {
            name: ClassAveragesInput.model_fields[name].default for name in LIBRARY_OPTIONS
        }
        self.settings: dict[str, Any] = {name: KnownPosesSpec.model_fields[name].default for name in SETTINGS}
        self.parts: dict[str, dict[str, Any]] = {
            "method": DenoisedViews().model_dump(),
            "denoiser": ClosedFormDenoiser().model_dump(),
            "representation": Voxels().model_dump(),
            "refinement": PoseRefinement().model_dump(),
        }
        self.problems: dict[str, str] = {}  # of each form: what can't be read
        self.coverage: Coverage | None = None
        self.card: DenoiserCard | None = None
        self._cards: dict[str, tuple[DenoiserCard | None, str]] = {}
        self._looks: dict[Any, PosedLook] = {}
        self._libraries: dict[Any, LibraryLook] = {}
        self._asked: set[Any] = set()
        self.history.keep(self.kind, self)

    # ---- files ----------------------------------------------------------------------------------

    def set_file(self, role: str, path: Path | None) -> None:
        """Use a file for one of :data:`FILES`, or none. Other poses let go of the stack before."""
        path = None if path is None else Path(path).absolute()
        what = known_poses_words.ROLES[role]
        name = path.name if path is not None else ""
        with self.history.step(f"{what} {name}" if name else f"remove the {what}"):
            before = self.files.get("poses")
            if role == "poses" and before not in (None, path):
                self.files.pop("images", None)
                self.options |= {"select": (), "pixel_size_A": None}
            put_items(self.files, {role: path} if path is not None else {})
            if path is None:
                self.files.pop(role, None)
            self.loaded.emit()
            self._look()
            self.changed.emit()

    def set_options(self, values: dict[str, Any], problem: str = "") -> None:
        """How the images are prepared; ``problem`` says what can't be read."""
        with self.history.step(merge=True):
            self.options |= {k: v for k, v in values.items() if k in OPTIONS}
            self.problems["images"] = problem
            self._look()
            self.changed.emit()

    def set_library_options(self, values: dict[str, Any], problem: str = "") -> None:
        """The same for the library."""
        with self.history.step(merge=True):
            self.library_options |= {k: v for k, v in values.items() if k in LIBRARY_OPTIONS}
            self.problems["library"] = problem
            self._look()
            self.changed.emit()

    @property
    def look(self) -> PosedLook | None:
        """What the images and poses turned out to be; None without them, or while they are read."""
        return self._looks.get(self._images_key())

    @property
    def library(self) -> LibraryLook | None:
        """What the library turned out to be; None without one, or while it is read."""
        return self._libraries.get(self._library_key())

    def _images_key(self) -> Any:
        poses = self.files.get("poses")
        given = tuple(self.options[name] for name in ("pixel_size_A", "contrast", "select"))
        return None if poses is None else (poses, self.files.get("images"), *given)

    def _library_key(self) -> Any:
        path = self.files.get("library")
        return None if path is None else (path, self.library_options["pixel_size_A"])

    def _look(self) -> None:
        """Look at what hasn't been looked at, in the background."""
        images, library = self._images_key(), self._library_key()
        if images is not None and images not in self._looks and images not in self._asked:
            try:
                self._ask(images, partial(look_at_images, self.images_spec()), self._looks)
            except ValueError:
                pass  # a value can't be: the plan says which
        if library is not None and library not in self._libraries and library not in self._asked:
            work = partial(look_at_library, library[0], library[1])
            self._ask(library, work, self._libraries)

    def _ask(self, key: Any, work: Any, kept: dict[Any, Any]) -> None:
        def found(answer: Any) -> None:
            self._asked.discard(key)
            kept[key] = answer
            for old in [k for k in kept if k not in (self._images_key(), self._library_key())][:-MOST_KEPT]:
                del kept[old]
            self.looked.emit()
            self.changed.emit()

        failure: Any = LibraryLook if kept is self._libraries else PosedLook
        self._asked.add(key)
        self._background.submit(work, found, lambda error: found(failure(problem=words(error))))

    # ---- settings -------------------------------------------------------------------------------

    def set_settings(self, values: dict[str, Any], problem: str = "") -> None:
        """Take what was entered; ``problem`` says what can't be read."""
        with self.history.step(merge=True):
            self.settings |= {k: v for k, v in values.items() if k in SETTINGS}
            self.problems["settings"] = problem
            self.changed.emit()

    def set_part(self, name: str, values: dict[str, Any], problem: str = "") -> None:
        """One of :data:`PARTS` as a spec dictionary; no values if they can't be read."""
        with self.history.step(merge=True):
            if values:
                self.parts[name] = values
            self.problems[name] = problem
            if name == "denoiser":
                self._read_card()
            self.changed.emit()

    def use_weights(self, path: Path) -> None:
        """Use a trained denoiser."""
        with self.history.step(f"use the denoiser {path.name}"):
            self.set_part("denoiser", TrainedDenoiser(weights=str(path)).model_dump())
            self.loaded.emit()

    def apply_preset(self, name: str) -> None:
        """Fill in what a preset says: the method. All else stays."""
        method = KNOWN_POSE_PRESETS[name].settings.get("method", DenoisedViews())
        with self.history.step(f"preset “{name}”"):
            self.set_part("method", method.model_dump())
            self.loaded.emit()

    def _read_card(self) -> None:
        weights = str(self.parts["denoiser"].get("weights") or "")
        if not weights or weights in self._cards:
            self.card = self._cards.get(weights, (None, ""))[0]
            return
        self.card = None
        self._background.submit(
            partial(read_card, Path(weights)),
            lambda card: self._card_read(weights, card, ""),
            lambda error: self._card_read(weights, None, f"{Path(weights).name}: {words(error)}"),
        )

    def _card_read(self, weights: str, card: DenoiserCard | None, problem: str) -> None:
        if card is None and not problem:
            problem = f"{Path(weights).name} is no 2D denoiser. Choose a file that a denoiser training wrote."
        self._cards[weights] = card, problem
        if self.parts["denoiser"].get("weights") == weights:
            self.card = card
            self.changed.emit()

    # ---- the run --------------------------------------------------------------------------------

    @property
    def asks_denoiser(self) -> bool:
        """Whether the method has a 2D denoiser asked."""
        return self.parts["method"]["kind"] in ASKS_DENOISER

    def missing(self) -> str:
        """Why it can't run yet, in words; empty if it can."""
        poses, library = self.files.get("poses"), self.files.get("library")
        if poses is None:
            return FILES_WANTED
        problem = next((text for text in self.problems.values() if text), "")
        if problem:
            return problem
        try:
            self.images_spec()
        except ValueError as exc:
            return str(exc)
        if self.look is None:
            return f"{poses.name} is being read."
        if self.look.problem:
            return self.look.problem
        if library is not None and self.asks_denoiser:
            if self.library is None:
                return f"{library.name} is being read."
            if self.library.problem:
                return self.library.problem
            if self.library.needs_pixel_size:
                return f"{library.name} doesn't say how large a pixel is. Enter it in the library's card."
        problem = self._denoiser_problem()
        if problem:
            return problem
        try:
            return known_poses_words.too_few(self.spec(), self.look.count)
        except ValueError as exc:
            return str(exc)

    def _denoiser_problem(self) -> str:
        denoiser = self.parts["denoiser"]
        if denoiser["kind"] != "trained" or not self.asks_denoiser:
            return ""
        weights = denoiser.get("weights")
        if not weights:
            return NO_DENOISER
        problem = self._cards.get(weights, (None, ""))[1]
        box = self.options["box"]
        if not problem and self.card is not None and box and box != self.card.box:
            return (
                f"{Path(weights).name} is for images of {self.card.box} px, but the working box is {box} px. "
                f"Set it to {self.card.box} px."
            )
        return problem

    def images_spec(self) -> PosedImages:
        """The images with poses. Raises ValueError in words if something doesn't fit."""
        poses, images = self.files.get("poses"), self.files.get("images")
        if poses is None:
            raise ValueError(FILES_WANTED)
        given = {"poses": str(poses), "images": None if images is None else str(images)}
        try:
            return PosedImages.model_validate({**self.options, **given})
        except ValidationError as exc:
            raise ValueError(first_problem(exc)) from None

    def spec(self) -> KnownPosesSpec:
        """The run as a spec. Raises ValueError in words if something doesn't fit.

        Gaussians that the method can't move stay in the form, and are left out here.
        """
        library = self.files.get("library")
        voxels = self.parts["method"]["kind"] not in TAKES_GAUSSIANS
        try:
            return KnownPosesSpec.model_validate({
                **self.settings,
                **self.parts,
                "representation": Voxels().model_dump() if voxels else self.parts["representation"],
                "images": self.images_spec().model_dump(),
                "library": None if library is None else {**self.library_options, "file": str(library)},
                **{name: str(self.files[name]) for name in ("start", "truth") if name in self.files},
            })  # fmt: skip
        except ValidationError as exc:
            raise ValueError(first_problem(exc)) from None

    def replace(
        self,
        files: dict[str, Path],
        images: dict[str, Any],
        library: dict[str, Any],
        settings: dict[str, Any],
        parts: dict[str, dict[str, Any]],
    ) -> None:
        """Take other files, and these values; what isn't named among the values stays."""
        with self.history.step("load settings"):
            self.files = {role: Path(path).absolute() for role, path in files.items()}
            self.options |= images
            self.library_options |= library
            self.settings |= settings
            self.parts |= parts
            self._shown_anew()

    def sentence(self) -> str:
        """What Run will do."""
        try:
            return known_poses_words.sentence(self.spec(), self.look, self.library)
        except ValueError:
            return ""

    def load(self, spec: KnownPosesSpec) -> None:
        """Show a spec: replaces everything."""
        values = spec.model_dump()
        library = values["library"] or ClassAveragesInput(file="/").model_dump() | {"file": ""}
        named = {
            "poses": spec.images.poses, "images": spec.images.images, "library": library["file"],
            "start": spec.start, "truth": spec.truth,
        }  # fmt: skip
        self.replace(
            {role: Path(path) for role, path in named.items() if path},
            {name: values["images"][name] for name in OPTIONS},
            {name: library[name] for name in LIBRARY_OPTIONS},
            {name: values[name] for name in SETTINGS},
            {name: values[name] for name in PARTS},
        )

    # ---- the history ----------------------------------------------------------------------------

    def snapshot(self) -> Values:
        """What the user has given."""
        return {
            **prefixed("file", self.files),
            **prefixed("images", self.options),
            **prefixed("library", self.library_options),
            **prefixed("settings", self.settings),
            **{name: dict(values) for name, values in self.parts.items()},
        }

    def put(self, values: Values) -> None:
        """Go back to values of :meth:`snapshot`; files that are known are not read again."""
        for target, prefix in (
            (self.files, "file"), (self.options, "images"), (self.library_options, "library"),
            (self.settings, "settings"),
        ):  # fmt: skip
            put_items(target, below(prefix, values))
        for name in PARTS:
            self.parts[name] = dict(values.get(name, self.parts[name]))
        self._shown_anew()

    def _shown_anew(self) -> None:
        self.problems.clear()
        self._read_card()
        self._look()
        self.loaded.emit()
        self.changed.emit()
