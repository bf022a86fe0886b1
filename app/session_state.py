"""What a window was left with, as plain values: taken down, and put back. Nothing here touches files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, TypeAdapter, ValidationError

from app import averages_session, known_poses_state, prior_session, sds_session, training_session
from app.panels.mode_switch import MODES
from app.project_files import SCHEMA_VERSION
from engine.specs.components import PriorSpec
from engine.specs.job import DpsSpec, FrameSpec, TrainPriorSpec
from engine.specs.samplers import SamplerSpec
from engine.specs.sds import ClassAveragesInput, Distillation, ImageDenoiserSpec, SdsSpec, TrainDenoiserSpec

if TYPE_CHECKING:
    from app.main_window import MainWindow
    from app.viewers.scene import SceneWidget

POINTS = ("title", "samples", "points", "batch", "seed", "device")
CAMERA = ("azimuth", "elevation", "roll", "scale_factor")
LARGEST = 1e7  # Å; beyond, a camera has lost its object


# ---- taken down -------------------------------------------------------------------------------------


def capture(window: MainWindow) -> dict[str, Any]:
    """Everything about what is prepared and shown, but not the theme."""
    return {
        "schema_version": SCHEMA_VERSION,
        "mode": window.modes.mode,
        "points": _points(window),
        "averages": _averages(window),
        "volumes": _volumes(window),
        "denoiser": {
            "settings": dict(window.modes.training.settings), "start_from": window.modes.training.start_from
        },
        "prior": _prior(window),
        "known_poses": known_poses_state.capture(window.modes.known.session),
        "shown": _shown(window),
        "features": window.features.state(),
    }  # fmt: skip


def _points(window: MainWindow) -> dict[str, Any]:
    session = window.session
    rows = [
        {"paths": [str(p) for p in row.paths], "role": row.role, "options": dict(row.options)}
        for row in session.evidence.values()
    ]
    return {
        "evidence": rows, "settings": dict(session.settings), "prior": session.prior,
        "sampler": session.sampler, "frame": session.frame,
    }  # fmt: skip


def _averages(window: MainWindow) -> dict[str, Any]:
    averages = window.modes.averages
    all_ = averages.loaded is None or bool(averages.selected.all())
    select = [] if all_ else [int(i) + 1 for i in np.flatnonzero(averages.selected)]
    path = "" if averages.path is None else str(averages.path)
    return {"path": path, "select": select, "options": dict(averages.options)}


def _volumes(window: MainWindow) -> dict[str, Any]:
    sds = window.modes.sds
    return {
        "settings": dict(sds.settings), "denoiser": sds.denoiser, "distillation": sds.distillation,
        "truth": "" if sds.truth is None else str(sds.truth),
    }  # fmt: skip


def _prior(window: MainWindow) -> dict[str, Any]:
    session = window.modes.prior.session
    return {
        "sources": {role: str(source.path) for role, source in session.sources.items()},
        "settings": dict(session.settings),
        "start_from": session.start_from,
    }


def _shown(window: MainWindow) -> dict[str, Any]:
    stored, viewer, maps = window.run_view.stored, window.viewer, window.sds_view.maps
    columns = window._columns  # noqa: SLF001 - the window has no other name for its layout
    return {
        "run": "" if stored is None else str(stored.folder),
        "map": maps.key,
        "share": maps.control.share,
        "middle": window.modes.middle.currentIndex(),
        "tab": window.tabs.tabText(window.tabs.currentIndex()),
        "left_tab": columns.left_tabs.currentIndex(),
        "sizes": columns.sizes(),
        "cameras": {
            "points": camera_of(viewer.late_points.made),
            "volume": camera_of(viewer.volume.late_volume.made),
        },
    }


def camera_of(view: SceneWidget | None) -> dict[str, Any]:
    """Where the user has turned a picture to; empty while it frames what it shows itself, or isn't made."""
    if view is None or not view.touched:
        return {}
    values = {name: float(getattr(view.camera, name) or 0.0) for name in CAMERA}
    return {**values, "centre": [float(c) for c in view.camera.center], "radius_A": float(view.radius_A)}


def files_of(state: dict[str, Any]) -> Iterator[str]:
    """Every file that a state names."""
    points, shown = _table(state, "points"), _table(state, "shown")
    for row in points.get("evidence", []) if isinstance(points.get("evidence"), list) else []:
        paths = row.get("paths") if isinstance(row, dict) else None
        yield from (p for p in paths if isinstance(p, str)) if isinstance(paths, list) else ()
    for table, key in (("averages", "path"), ("volumes", "truth")):
        yield from _named(_table(state, table).get(key))
    yield from (p for p in _table(_table(state, "prior"), "sources").values() if isinstance(p, str))
    yield from known_poses_state.files_of(state.get("known_poses"))
    yield from _named(shown.get("run"))


# ---- put back ---------------------------------------------------------------------------------------


def put_back(window: MainWindow, state: dict[str, Any], gone: Iterable[str] = ()) -> None:
    """Prepare what was prepared. Files that have ``gone`` are passed over, and values that don't fit.

    What was shown is put back by :func:`put_back_shown`, once its run has been read.
    """
    missing = set(gone)
    history: Any = window.history
    with history.step("restore the session") if hasattr(history, "step") else nullcontext():
        _put_points(window, _table(state, "points"), missing)
        _put_averages(window, _table(state, "averages"), missing)
        _put_volumes(window, _table(state, "volumes"), missing)
        _put_trainings(window, state, missing)
        known_poses_state.put_back(window.modes.known.session, _table(state, "known_poses"), missing)
    window.history.clear()  # there is nothing before it to go back to
    mode = state.get("mode")
    window.modes.set_mode(mode if mode in MODES else "dps")


def _put_points(window: MainWindow, state: dict[str, Any], gone: set[str]) -> None:
    session = window.session
    for number in list(session.evidence):
        session.remove(number)
    # the rows give the evidence that a description of points needs; "unconditional" can do without
    dummy = {"sampler": {"kind": "unconditional"}}
    session.settings |= fitting(DpsSpec, _table(state, "settings"), POINTS, dummy)
    session.prior = _valid(PriorSpec, state.get("prior"), session.prior)
    session.sampler = _valid(SamplerSpec, state.get("sampler"), session.sampler)
    session.frame = _valid(FrameSpec, state.get("frame"), session.frame)
    session.form_problem = ""
    rows = state.get("evidence")
    for row in rows if isinstance(rows, list) else []:
        paths = row.get("paths") if isinstance(row, dict) else None
        if not isinstance(paths, list) or not paths or len(paths) > 2:
            continue
        if all(isinstance(p, str) and p not in gone for p in paths):
            role, options = row.get("role"), row.get("options")
            session.add_row(
                [Path(p) for p in paths],
                role if isinstance(role, str) else None,
                _tuples(options) if isinstance(options, dict) else {},
            )
    session.loaded.emit()
    session.changed.emit()


def _put_averages(window: MainWindow, state: dict[str, Any], gone: set[str]) -> None:
    averages, path = window.modes.averages, state.get("path")
    if not isinstance(path, str) or not path or path in gone:
        if averages.path is not None:
            averages.close()
        return
    options = fitting(ClassAveragesInput, _table(state, "options"), averages_session.OPTIONS, {"file": path})
    select = state.get("select")
    chosen = select if isinstance(select, list) and all(type(i) is int and i > 0 for i in select) else []
    averages.open(Path(path), options, tuple(chosen))


def _put_volumes(window: MainWindow, state: dict[str, Any], gone: set[str]) -> None:
    sds = window.modes.sds
    dummy = {"averages": {"file": "x"}}
    sds.set_settings(fitting(SdsSpec, _table(state, "settings"), sds_session.SETTINGS, dummy))
    sds.set_distillation(_valid(Distillation, state.get("distillation"), sds.distillation))
    denoiser = state.get("denoiser")
    if isinstance(denoiser, dict) and denoiser.get("kind") == "trained" and not denoiser.get("weights"):
        sds.set_denoiser({"kind": "trained", "weights": ""})  # chosen, but no file yet
    else:
        sds.set_denoiser(_valid(ImageDenoiserSpec, denoiser, sds.denoiser))
    truth = next(_named(state.get("truth")), "")
    sds.set_truth(Path(truth) if truth and truth not in gone else None)
    sds.loaded.emit()


def _put_trainings(window: MainWindow, state: dict[str, Any], gone: set[str]) -> None:
    training, values = window.modes.training, _table(state, "denoiser")
    dummy: dict[str, Any] = {"averages": {"file": "x"}}
    training.set_settings(
        fitting(TrainDenoiserSpec, _table(values, "settings"), training_session.SETTINGS, dummy)
    )
    training.set_start(next(_named(values.get("start_from")), ""))
    training.loaded.emit()
    prior, values = window.modes.prior.session, _table(state, "prior")
    prior.set_settings(
        fitting(TrainPriorSpec, _table(values, "settings"), prior_session.SETTINGS, {"clouds": "x"})
    )
    prior.set_start(next(_named(values.get("start_from")), ""))
    sources = _table(values, "sources")
    for role in (prior_session.TRAINING, prior_session.VALIDATION):
        path = next(_named(sources.get(role)), "")
        if path and path not in gone:
            prior.open(role, Path(path))
        else:
            prior.remove(role)
    prior.loaded.emit()


def put_back_shown(window: MainWindow, shown: dict[str, Any], *, mode: str) -> None:
    """Show the run that has been opened as it was shown: map, level, camera, tab."""
    maps, viewer = window.sds_view.maps, window.viewer
    cameras = _table(shown, "cameras")
    set_camera(viewer.points, _table(cameras, "points"))
    set_camera(viewer.volume.volume, _table(cameras, "volume"))
    share, key = shown.get("share"), shown.get("map")
    if maps.run is not None:
        if isinstance(share, float) and 0 < share < 1:
            maps.control.share = share
        maps.show_key(key if isinstance(key, str) and key else maps.first_key())
    if mode in MODES and mode != window.modes.mode:
        window.modes.set_mode(mode)
    put_back_layout(window, shown)


def put_back_layout(window: MainWindow, shown: dict[str, Any]) -> None:
    """Columns, tabs and what fills the middle."""
    columns = window._columns  # noqa: SLF001 - as above
    middle, tab, left = shown.get("middle"), shown.get("tab"), shown.get("left_tab")
    if middle in (0, 1) and window.modes.of_averages:
        window.modes.middle.setCurrentIndex(middle)
    for i in range(window.tabs.count()):
        if window.tabs.tabText(i) == tab and window.tabs.isTabVisible(i):
            window.tabs.setCurrentIndex(i)
    if isinstance(left, int) and 0 <= left < columns.left_tabs.count():
        columns.left_tabs.setCurrentIndex(left)
    sizes = {
        name: values
        for name, values in _table(shown, "sizes").items()
        if isinstance(values, list) and all(type(v) is int for v in values)
    }
    columns.set_sizes(sizes)


def set_camera(view: SceneWidget, state: dict[str, Any]) -> None:
    """Turn a picture to where the user had it."""
    names = (*CAMERA, "radius_A")
    centre = state.get("centre")
    numbers = [state.get(name) for name in names] + (centre if isinstance(centre, list) else [])
    if len(numbers) != len(names) + 3 or not all(_number(n) for n in numbers):
        return
    if not 0 < state["scale_factor"] < LARGEST or not 0 < state["radius_A"] < LARGEST:
        return
    view.touched = True
    view.radius_A = float(state["radius_A"])
    view.camera.depth_value = 40 * view.radius_A
    view.camera.center = tuple(float(c) for c in centre)  # type: ignore[union-attr]
    for name in CAMERA:
        setattr(view.camera, name, float(state[name]))


# ---- values that may be anything --------------------------------------------------------------------


def fitting(
    model: type[BaseModel], values: dict[str, Any], names: Iterable[str], others: dict[str, Any]
) -> dict[str, Any]:
    """Those of ``values`` that are possible, as the model has them.

    Parameters
    ----------
    names : fields that are looked at.
    others : what the model needs besides.
    """
    wanted = {name: values[name] for name in names if name in values}
    try:
        checked = model.model_validate({**others, **wanted})
    except ValidationError as exc:
        bad = {str(error["loc"][0]) for error in exc.errors() if error["loc"]}
        if not bad & set(wanted):
            return _tuples(wanted)  # each is possible, together they aren't: the form will say so
        rest = {name: value for name, value in wanted.items() if name not in bad}
        return fitting(model, rest, rest, others)
    return {name: getattr(checked, name) for name in wanted}


def _valid(kind: Any, values: Any, otherwise: dict[str, Any]) -> dict[str, Any]:
    """A table as a description's part has it, or what there was."""
    try:
        found = TypeAdapter(kind).validate_python(values)
    except ValidationError:
        return otherwise
    result: dict[str, Any] = found.model_dump()
    return result


def _table(values: dict[str, Any], key: str) -> dict[str, Any]:
    found = values.get(key)
    return found if isinstance(found, dict) else {}


def _tuples(values: dict[str, Any]) -> dict[str, Any]:
    return {str(k): tuple(v) if isinstance(v, list) else v for k, v in values.items()}


def _named(value: Any) -> Iterator[str]:
    if isinstance(value, str) and value:
        yield value


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST
