"""What a preset sets in each mode: read from a session, told by a preset, and put into a session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from app import known_poses_session, prior_session, sds_session, training_session
from app.forms import label_of
from engine.specs.components import GaussianPrior, NetworkPrior
from engine.specs.job import DpsSpec, TrainPriorSpec
from engine.specs.known_poses import DenoisedViews, KnownPosesSpec
from engine.specs.presets import OWN, PRESETS, SDS_PRESETS, training_preset
from engine.specs.samplers import DEFAULT_SAMPLER
from engine.specs.sds import ClosedFormDenoiser, Distillation, SdsSpec, TrainDenoiserSpec

if TYPE_CHECKING:
    from app.modes import Modes

_POINTS = ("samples", "points", "batch")
_TRAININGS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "train_denoiser": (TrainDenoiserSpec, training_session.SETTINGS),
    "train_prior": (TrainPriorSpec, prior_session.SETTINGS),
}
_SDS = tuple(name for name in sds_session.SETTINGS if name not in OWN)


def present(modes: Modes) -> dict[str, Any]:
    """What is set now in the present mode, of all that presets set."""
    session: Any = modes.session
    if modes.mode == "dps":
        found = {name: session.settings.get(name, DpsSpec.model_fields[name].default) for name in _POINTS}
        return found | {"sampler": dict(session.sampler), "prior": dict(session.prior)}
    if modes.mode == "known_poses":
        return {name: dict(session.parts[name]) for name in known_poses_session.PARTS}
    if modes.mode == "sds":
        found = {name: session.settings[name] for name in _SDS}
        found["box"] = session.averages.options["box"]
        return found | {"distillation": dict(session.distillation), "denoiser": dict(session.denoiser)}
    _, names = _TRAININGS[modes.mode]
    return {name: session.settings[name] for name in names if name not in OWN}


def of_preset(modes: Modes, name: str) -> dict[str, Any]:
    """The same as a preset of Verglas's sets it."""
    if modes.mode == "dps":
        session: Any = modes.session
        rows = [row.spec() for row in session.observations() if row.state == "ready"]
        wanted = PRESETS[name].settings(rows)
        found: dict[str, Any] = {key: wanted.get(key, DpsSpec.model_fields[key].default) for key in _POINTS}
        prior = wanted.get("prior")
        found["sampler"] = wanted.get("sampler", DEFAULT_SAMPLER).model_dump()
        network = session.prior if session.prior.get("kind") == "network" else NetworkPrior().model_dump()
        return found | {"prior": prior.model_dump() if isinstance(prior, GaussianPrior) else network}
    if modes.mode == "known_poses":
        method = training_preset("known_poses", name).settings.get("method", DenoisedViews())
        return {"method": method.model_dump()}
    if modes.mode == "sds":
        preset = SDS_PRESETS[name]
        found = {key: preset.settings.get(key, SdsSpec.model_fields[key].default) for key in _SDS}
        found["box"] = preset.box
        now = modes.sds.denoiser
        kind = "trained" if preset.trained else "closed_form"
        own = {"kind": "trained", "weights": ""} if preset.trained else ClosedFormDenoiser().model_dump()
        found["denoiser"] = now if now["kind"] == kind else own
        return found | {"distillation": preset.settings.get("distillation", Distillation()).model_dump()}
    model, names = _TRAININGS[modes.mode]
    wanted = training_preset(modes.mode, name).settings
    return {key: wanted.get(key, model.model_fields[key].default) for key in names if key not in OWN}


def differences(now: dict[str, Any], then: dict[str, Any]) -> list[str]:
    """Names, in words, of what differs."""
    found: list[str] = []
    for key in now:
        if key not in then:
            continue
        one, other = now[key], then[key]
        if isinstance(one, dict) and isinstance(other, dict):
            if one.get("kind") != other.get("kind"):
                found.append(label_of(key))
            else:
                found += [label_of(k) for k in one if _plain(one[k]) != _plain(other.get(k))]
        elif _plain(one) != _plain(other):
            found.append(label_of(key))
    return list(dict.fromkeys(found))


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def apply(modes: Modes, values: dict[str, Any], title: str) -> None:
    """Put values of :func:`present`'s shape into the session of the present mode, as one step of undo.

    Raises
    ------
    ValueError
        If a value doesn't fit its field; nothing has been changed then.
    """
    session: Any = modes.session
    checked = _checked(modes.mode, values)
    with session.history.step(title):
        if modes.mode == "dps":
            if "sampler" in checked:
                session.set_sampler(checked["sampler"])
            if "prior" in checked:
                session.set_prior(checked["prior"])
            session.set_settings({k: v for k, v in checked.items() if k in _POINTS})
        elif modes.mode == "known_poses":
            for name, part in checked.items():
                session.set_part(name, part)
        elif modes.mode == "sds":
            session.set_settings({k: v for k, v in checked.items() if k in _SDS})
            if "distillation" in checked:
                session.set_distillation(checked["distillation"])
            if "denoiser" in checked:
                session.set_denoiser(checked["denoiser"])
            if "box" in checked:
                session.averages.set_options({"box": checked["box"]})
                session.averages.options_replaced.emit()
        else:
            session.set_settings(checked)
        session.loaded.emit()


def _checked(kind: str, values: dict[str, Any]) -> dict[str, Any]:
    """Values as the spec of this kind of run gives them back: strict, with what a file left out."""
    if kind == "dps":
        spec: Any = DpsSpec.model_validate({**values, "observations": [_ANY_EVIDENCE], "kind": "dps"})
        names = [*_POINTS, "sampler", "prior"]
    elif kind == "sds":
        box = values.get("box", 0)
        rest = {k: v for k, v in values.items() if k != "box"}
        spec = SdsSpec.model_validate({**rest, "averages": {"file": "/a", "box": box}})
        names = [*_SDS, "distillation", "denoiser"]
    elif kind == "known_poses":
        spec = KnownPosesSpec.model_validate({**values, "images": {"poses": "/a"}})
        names = [name for name in known_poses_session.PARTS if name in values]
    elif kind == "train_denoiser":
        spec = TrainDenoiserSpec.model_validate({**values, "averages": {"file": "/a"}})
        names = [n for n in training_session.SETTINGS if n not in OWN]
    else:
        spec = TrainPriorSpec.model_validate({**values, "clouds": "/a"})
        names = [n for n in prior_session.SETTINGS if n not in OWN]
    plain = spec.model_dump()
    found = {name: plain[name] for name in names}
    if kind == "sds":
        found["box"] = spec.averages.box
    return found


_ANY_EVIDENCE = {"kind": "coarse_map", "file": "/a"}
