"""The paper capsule: one zip from which a run can be read, shown, cited and computed again.

``spec.toml, inputs/``          what was asked, and the files it names
``manifest.json``               seeds, versions, device, hashes
``results.json``                the numbers by which a rerun is compared, with tolerances
``figures/*.svg, view/``        pictures; maps and models with a ChimeraX command file that shows them
``methods.txt, references.bib`` a paragraph for the paper
``validation.md, .csv``         what was measured of the result, and what was not
``README.txt, SHA256SUMS``

Written without torch, so the window can do it beside a run. Nothing of the machine goes in: of paths, file
names only.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.errors import InputError, RunError, VerglasError
from engine.events import Completed
from engine.io.ensemble import read_ensemble
from engine.io.export import export_ensemble
from engine.io.export_volumes import export_volumes
from engine.io.hand import flipped, mirrored_ensemble
from engine.io.json_files import read_json
from engine.io.point_values import read_point_values
from engine.io.volumes import OF_VOLUMES
from engine.jobs import capsule_figures, capsule_methods, capsule_validation
from engine.jobs.capsule_archive import Content, write_zip
from engine.jobs.capsule_inputs import Inputs, file_name, gather_inputs
from engine.jobs.capsule_results import results_record
from engine.jobs.run_dir import RunDir
from engine.specs import codec
from engine.specs.job import JobSpec

CAPSULE_VERSION = 1

_README = """\
A capsule of Verglas: {title}

Everything needed to read, show, cite and repeat one computation ({kind}).

Compute it again and compare every number (needs Verglas {version}):

    verglas rerun CAPSULE.zip --out rerun{inputs}

spec.toml         what was computed: every setting with its meaning
manifest.json     seeds, versions, device, processor, and the hash of every input
results.json      the numbers by which a rerun is compared, with the tolerance of each
methods.txt       a paragraph for the methods section, with citations
references.bib    the works it cites
validation.md     what was measured of the result and what was not (validation.csv: the same as a table)
figures/          curves and pictures as SVG
view/             maps and models; open view/view.cxc in ChimeraX
inputs/           the input files
SHA256SUMS        hashes of all these files: sha256sum -c SHA256SUMS

{notes}"""


def write_capsule(run: RunDir, out: Path, *, inputs: bool | None = None) -> Path:
    """Write the capsule of a finished run; its path.

    Parameters
    ----------
    out : the zip to write; the same run always makes the same bytes.
    inputs : whether input files are embedded; None embeds them if together they are below
        :data:`engine.jobs.capsule_inputs.LIMIT_BYTES`.

    Raises
    ------
    RunError
        If the run is not finished.
    VerglasError
        If its files are damaged or the zip can't be written.
    """
    out = Path(out)
    if out.suffix.lower() != ".zip":
        raise InputError("A capsule is a zip file.", "Let its name end in .zip.", out)
    if not isinstance(run.outcome(), Completed):
        raise RunError("The run is not finished.", "A capsule is made of a run that has completed.", run.path)
    spec, manifest = run.spec(), run.manifest()
    if manifest is None:
        raise RunError("The run has no manifest.", "Run it again.", run.path)
    gathered = gather_inputs(spec, manifest)
    gathered.embed(inputs)
    record = results_record(run.results)
    metrics = _metrics(run)
    facts = _manifest(spec, manifest, gathered, metrics)
    rows = capsule_validation.rows(spec, metrics)
    paragraph = capsule_methods.paragraph(spec, manifest, metrics)
    content: dict[str, Content] = {
        "spec.toml": codec.to_toml_text(with_places(spec, gathered.places)).encode(),
        "results.json": _json(record),
        "methods.txt": paragraph.text.encode(),
        "references.bib": paragraph.bibliography.encode(),
        "validation.md": capsule_validation.as_markdown(rows, spec.title).encode(),
        "validation.csv": capsule_validation.as_csv(rows).encode(),
    }
    for entry in gathered.entries:
        if entry.embedded and entry.source is not None:
            content[entry.name] = entry.source
    for name, svg in capsule_figures.figures(spec, run, metrics, facts["notes"].append).items():
        content[f"figures/{name}.svg"] = svg
    with tempfile.TemporaryDirectory(prefix="verglas-capsule-") as folder:
        try:
            _export(spec, run, Path(folder))
        except VerglasError as exc:
            facts["notes"].append(f"No files for ChimeraX: {exc.problem}")
        for path in sorted(Path(folder).rglob("*")):
            if path.is_file():
                content[f"view/{path.relative_to(folder).as_posix()}"] = path
        content["manifest.json"] = _json(facts)
        content["README.txt"] = _readme(spec, facts, gathered).encode()
        write_zip(out, content)
    return out


def with_places(spec: JobSpec, places: Mapping[str, str]) -> JobSpec:
    """The same spec with its files where the capsule has them; what has no place keeps its last part only."""
    moved = {path: f"inputs/{file_name(path)}" for path in codec.input_files(spec).values()} | dict(places)
    keys = {key.rsplit(", ", 1)[-1] for key in codec.input_files(spec)} | {"weights"}

    def move(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {k: move(item, k) for k, item in value.items()}
        if isinstance(value, list):
            return [move(item) for item in value]
        return moved.get(value, value) if isinstance(value, str) and key in keys else value

    return codec.validate(move(spec.model_dump(mode="json")))


def _metrics(run: RunDir) -> dict[str, Any]:
    path = run.results / "metrics.json"
    return read_json(path) if path.is_file() else {}


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False) + "\n").encode()


def _manifest(
    spec: JobSpec, manifest: Mapping[str, Any], gathered: Inputs, metrics: Mapping[str, Any]
) -> dict[str, Any]:
    kept = ("verglas", "python", "platform", "processor", "threads", "packages", "device", "seed", "started")
    command = manifest.get("command")
    words = [str(w) for w in command] if isinstance(command, list) else []
    return {
        "capsule_version": CAPSULE_VERSION,
        "kind": spec.kind,
        "title": spec.title,
        **{key: manifest.get(key) for key in kept},
        "steps": metrics.get("steps"),
        "command": [_without_folders(word) for word in words],
        "prior": gathered.prior,
        "inputs": [entry.record() for entry in gathered.entries],
        "notes": list(gathered.notes),
    }


def _without_folders(word: str) -> str:
    option, equals, value = word.partition("=")
    if equals and option.startswith("-"):
        return f"{option}={_without_folders(value)}"
    return file_name(word) if "/" in word or "\\" in word else word


def _export(spec: JobSpec, run: RunDir, folder: Path) -> None:
    """Maps and models with the command file that shows them, for reconstructions."""
    if spec.kind in OF_VOLUMES:
        export_volumes(run.path, folder / "view.cxc", "cxc")
    elif spec.kind == "dps":
        ensemble = read_ensemble(run.results / "ensemble.npz")
        if flipped(run.path):
            ensemble = mirrored_ensemble(ensemble)
        values = read_point_values(run.results, ensemble.points_A.shape[1])
        kind = "spread" if "spread" in values.kinds or not values.kinds else values.kinds[0]
        export_ensemble(ensemble, folder / "view.cxc", "cxc", values=values, b_factors=kind)


def _readme(spec: JobSpec, facts: Mapping[str, Any], gathered: Inputs) -> str:
    missing = [e for e in gathered.entries if not e.embedded]
    notes = [f"Note: {note}" for note in facts["notes"]]
    if missing:
        notes.append("Not in this zip, to be given at a rerun (found by hash, whatever their names):")
        notes += [f"  {e.sha256}  {e.name.rsplit('/', 1)[-1]} ({e.size:,} bytes)" for e in missing]
    if gathered.prior is not None and gathered.prior["shipped"]:
        notes.append(f"The prior {gathered.prior['name']} comes with Verglas; manifest.json names its hash.")
    return _README.format(
        title=spec.title or "untitled", kind=spec.kind, version=facts["verglas"],
        inputs=" --inputs DIR" if missing else "", notes="\n".join(notes) + "\n" if notes else "",
    )  # fmt: skip
