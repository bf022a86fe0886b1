"""Every reader of files that come from elsewhere, what it is called with, and what its inputs are made from.

=====================  ==============================================================================
mrc, map_gz            engine.io.mrc.read_volume, read_header; engine.io.reduced_map; formats.summarise
stack                  engine.io.mrc.read_images; engine.io.class_averages
star                   engine.io.star.read_poses; engine.io.image_columns; engine.io.posed_images.read_posed
classes, classes_gz    engine.io.class_averages (class_star, image_references); engine.io.image_columns
cs                     engine.io.cryosparc, class_averages, image_columns, posed_images.read_posed_poses
eman, lst, spider      engine.io.eman, engine.io.spider, through class_averages
pdb, cif, cif_gz       engine.io.structure, structure_header, trace
points, clouds         engine.io.points, point_images (npz); engine.io.clouds
ensemble, results_npz  engine.io.ensemble; engine.io.conformations, pseudo_atoms, landscape_file, npz_results
npy                    app.snapshots; engine.io.voxels; engine.io.point_values
table                  engine.io.points (CSV, TSV); engine.io.accessions; poses: engine.io.pose_table
fetched                engine.io.fetched_table
spec_toml, spec_json   engine.specs.codec
weights                engine.io.weights_header, prior_library, prior_facts (cards), without torch
weights_torch          engine.priors.checkpoint, image_checkpoint
events, run_spec,      engine.jobs.event_log, run_dir, manifest, run_lock; app.run_summary, app.run_files
manifest, lock
kept_sample, parent    engine.io.kept_samples; engine.jobs.fork
plan, submission       engine.jobs.parts, slurm_submission
results_json           engine.io.json_files, volumes (facts of a run)
project, session       app.project_files; app.session_state; preset: app.own_presets
=====================  ==============================================================================

Input files that a manifest or a spec names are the user's, wherever they lie: their hashes are not looked at
here. ``engine.io.formats.summarise``, which looks at whatever is dropped on the window, reads all inputs that are
files. Not here: answers of servers (engine.io.remote), which tests/engine/io/downloads breaks, and capsules, which
tests/engine/jobs breaks.
"""

# ruff: noqa: E501 - tables of values
from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from app import own_presets, project_files, run_files, run_summary, session_state, snapshots
from engine.io import (
    accessions,
    class_averages,
    clouds,
    conformations,
    cryosparc,
    ensemble,
    fetched_table,
    formats,
    image_columns,
    json_files,
    kept_samples,
    landscape_file,
    mrc,
    point_values,
    points,
    pose_table,
    posed_images,
    prior_facts,
    prior_library,
    pseudo_atoms,
    reduced_map,
    structure,
    structure_header,
    trace,
    volumes,
    voxels,
    weights_header,
)
from engine.jobs import fork, parts, slurm_submission
from engine.jobs.run_dir import RunDir
from engine.specs import codec
from engine.specs.known_poses import PosedImages
from tests.fuzz import layouts, mutations, run_seeds, seeds
from tests.fuzz.mutations import Mutate, gzipped, of_text

Read = Callable[[Path], object]


@dataclass(frozen=True)
class Reader:
    """One kind of file.

    Attributes
    ----------
    name : of the reader.
    file : name of an input, from the folder that holds it; others of its kind lie beside it.
    seeds : valid files.
    mutate : makes an input of them.
    reads : what is called with the input's path; each may refuse it with a VerglasError.
    beside : files that lie there, too, by their name from the project's folder.
    torch : whether it needs torch, whose start takes seconds.
    """

    name: str
    file: str
    seeds: Callable[[], Sequence[bytes]]
    mutate: Mutate
    reads: tuple[Read, ...]
    beside: Callable[[], dict[str, bytes]] = field(default=dict)
    torch: bool = False

    def make(self, seed: int, number: int) -> bytes:
        """The input of this number, the same every time."""
        return self.mutate(Random(f"{self.name} {seed} {number}"), self.seeds())


WHERE = Path("Class2D/job012")
"""The folder of the inputs, from the project's folder: as deep as RELION's."""


def _stacks() -> dict[str, bytes]:
    stack = seeds.stacks()[0]
    names = (WHERE / "stack.mrcs", Path("Class2D/other/more.mrcs"), Path("J12/stack.mrcs"))
    return {str(name): stack for name in names}


def _run() -> dict[str, bytes]:
    """A finished run, whole but for the file that is broken."""
    files = {
        "spec.json": run_seeds.specs_json()[0],
        "manifest.json": run_seeds.manifests()[0],
        "events.jsonl": run_seeds.event_lines()[0],
        "results/ensemble.npz": seeds.ensembles()[0],
        "results/metrics.json": b"{}",
        "snapshots/000001.npy": seeds.arrays()[0],
    }
    return {str(WHERE / name): content for name, content in files.items()}


def _read_posed(path: Path) -> None:
    posed_images.read_posed(PosedImages(poses=str(path)), lambda note: None)


def _read_run(path: Path) -> None:
    folder = path.parent
    while not (folder / "spec.json").exists() and folder.name != WHERE.name:
        folder = folder.parent
    run_summary.summary_of(folder)
    run = RunDir.open(folder)
    run.history(), run.outcome(), run.running, run.holder()
    run_files.load_last_snapshot(run_files.load_run(folder))


def _read_manifest(path: Path) -> None:
    RunDir.open(path.parent).manifest()


def _read_sample(path: Path) -> None:
    kept_samples.read_sample(path.parents[2], 1, points=9, observations=1, seed=7)


def _read_parent(path: Path) -> None:
    fork.parent_of(RunDir(path.parent))


def _read_plan(path: Path) -> None:
    parts.read_plan(RunDir(path.parent.parent))


def _read_submission(path: Path) -> None:
    slurm_submission.find(RunDir(path.parent))


def _read_facts(path: Path) -> None:
    volumes.run_kind(path.parent)
    found = volumes.SdsResults(path.parent)
    found.averages(), found.counts(), found.volumes(), found.starts(), found.metrics()


def _describe_prior(path: Path) -> None:
    weights_header.image_denoiser_lines(weights_header.read_header(path))
    entry = prior_library.describe(path)
    for name in ("level_errors", "architecture_of", "facts", "lines"):
        of_card = getattr(prior_facts, name, None)
        if of_card is not None:
            of_card(entry)


def _load_prior(path: Path) -> None:
    from engine.priors.checkpoint import load_prior

    load_prior(path)


def _load_image_denoiser(path: Path) -> None:
    from engine.priors.image_checkpoint import load_image_denoiser

    load_image_denoiser(path)


def _read_session(path: Path) -> None:
    content, _ = project_files.read_session(path)
    list(session_state.files_of(content or {}))


def _read_preset(path: Path) -> None:
    own_presets.OwnPresets(path.parent.parent).read(path.parent.name, path.stem)


def _read_ids(path: Path) -> None:
    accessions.read_ids(path)


def _dataset(path: Path) -> None:
    cryosparc.read_dataset(path)


_OWN = formats.summarise
_STAR_WORDS = (
    "_rlnImageName", "_rlnReferenceImage", "_rlnAngleRot", "_rlnOriginXAngst", "_rlnOpticsGroup", "_rlnPixelSize",
    "1@stack.mrcs", "000009@stack.mrcs", "0@stack.mrcs", "-1@stack.mrcs", "99999999999@stack.mrcs", "1@2@stack.mrcs",
    "@", "1@", "1@.", "1@..", "1@/etc/passwd", "1@../../../../outside.mrcs", "stack.mrcs", "1@stack.mrcs\x00", "#1",
    "1@Class2D/job012/input.star", "data_particles", "data_optics", "_rlnImageName #1 #2", "loop_ loop_",
)  # fmt: skip
_LST_WORDS = (
    "#LSX",
    "0\tstack.mrcs",
    "5 ../../../../outside.mrcs",
    "0\t/etc/passwd",
    "0\tinput.lst",
    "9" * 20 + "\ta",
)
_PDB_WORDS = ("ATOM", "HETATM", "MODEL", "ENDMDL", "TER", "END", "HEADER", "REMARK 350", "CRYST1", "ANISOU", "CONECT",
              "********", "99999.999", "-9999.999", "HOH", "SEQRES", "LINK", "SSBOND", "MTRIX1", "A0000")  # fmt: skip
_CIF_WORDS = ("_atom_site.Cartn_x", "_atom_site.id", "_cell.length_a", "data_", "_entry.id", "loop_", "_struct.title",
              ";\ntext\n;", "'a''b'", "_pdbx_struct_oper_list.id", "_pdbx_struct_assembly_gen.oper_expression",
              "(1-9999999)", "_atom_site_anisotrop.id", "_entity_poly.entity_id", "_struct_conn.id", "save_")  # fmt: skip
_TOML_WORDS = ("kind = \"sds\"", "kind = 1", "[[observations]]", "[prior]", "a.b.c = 1", "= 1", "0x", "1979-05-27", "[[", "]]",
               "inf", "{a = {b = 1}}", '"""', "seed = -1", "steps = 9999999999999999999999", "[a]\n[a]")  # fmt: skip

READERS: tuple[Reader, ...] = (
    Reader("mrc", "input.mrc", seeds.maps, layouts.of_mrc, (mrc.read_volume, reduced_map.read_reduced, _OWN)),
    Reader("map_gz", "input.map.gz", seeds.maps, gzipped(layouts.of_mrc), (mrc.read_volume, _OWN)),
    Reader("stack", "input.mrcs", seeds.stacks, layouts.of_mrc,
           (mrc.read_images, class_averages.read_class_averages, _OWN)),
    Reader("star", "input.star", seeds.pose_tables, of_text(_STAR_WORDS),
           (image_columns.read_columns, _read_posed, _OWN), _stacks),
    Reader("classes", "input.star", seeds.class_tables, of_text(_STAR_WORDS),
           (class_averages.read_class_averages, image_columns.read_columns, _OWN), _stacks),
    Reader("classes_gz", "input.star.gz", seeds.class_tables, gzipped(of_text(_STAR_WORDS)),
           (class_averages.read_class_averages, _OWN), _stacks),
    Reader("cs", "input_class_averages.cs", seeds.datasets, layouts.of_dataset,
           (_dataset, class_averages.read_class_averages, image_columns.read_columns, _read_posed, _OWN), _stacks),
    Reader("eman", "input.hdf", seeds.hdf_files, layouts.of_hdf, (class_averages.read_class_averages, _OWN)),
    Reader("lst", "input.lst", lambda: [seeds.LIST], of_text(_LST_WORDS),
           (class_averages.read_class_averages, _OWN), _stacks),
    Reader("spider", "input.spi", seeds.spider_files, layouts.of_spider, (class_averages.read_class_averages, _OWN)),
    Reader("pdb", "input.pdb", seeds.pdb_files, of_text(_PDB_WORDS),
           (structure.read_structure, structure_header.read_header, trace.read_trace, _OWN)),
    Reader("cif", "input.cif", seeds.cif_files, of_text(_CIF_WORDS),
           (structure.read_structure, structure_header.read_header, trace.read_trace, _OWN)),
    Reader("cif_gz", "input.cif.gz", seeds.cif_files, gzipped(of_text(_CIF_WORDS)),
           (structure.read_structure, structure_header.read_header)),
    Reader("points", "input.npz", seeds.point_archives, mutations.of_npz,
           (points.read_points, class_averages.read_class_averages, _OWN)),
    Reader("clouds", "input.npz", seeds.cloud_archives, mutations.of_npz, (clouds.read_clouds, _OWN)),
    Reader("ensemble", "ensemble.npz", seeds.ensembles, mutations.of_npz, (ensemble.read_ensemble, _OWN)),
    Reader("results_npz", "conformations.npz", seeds.result_archives, mutations.of_npz,
           (lambda p: conformations.read_conformations(p.parent, 3), pseudo_atoms.read_gaussians,
            lambda p: shutil.copyfile(p, p.with_name("landscape.npz")) and landscape_file.read_landscape(p.parent))),
    Reader("npy", "spread.npy", seeds.arrays, mutations.of_npy,
           (snapshots.load_points, snapshots.load_map, snapshots.load_images, voxels.read_voxels,
            lambda p: point_values.read_point_values(p.parent, 9))),
    Reader("table", "input.csv", seeds.point_tables, of_text(("x", "y", "z", "weight", "x [Å]", ";", ",", "1abc")),
           (points.read_points, _read_ids, _OWN)),
    Reader("poses", "poses.csv", run_seeds.pose_csv, of_text(("image", "w", "1", "0.5", '"', '"a\nb"')),
           (pose_table.read_poses,)),
    Reader("fetched", "fetched.csv", run_seeds.fetched_tables, of_text(("id", "sha256", "structure", '"', "10")),
           (fetched_table.read_table,)),
    Reader("spec_toml", "input.toml", run_seeds.specs_toml, of_text(_TOML_WORDS), (codec.load_spec, _OWN)),
    Reader("spec_json", "input.json", run_seeds.specs_json, mutations.of_json, (codec.load_spec, _OWN)),
    Reader("weights", "input.safetensors", run_seeds.weights, layouts.of_safetensors, (_describe_prior, _OWN)),
    Reader("weights_torch", "input.safetensors", run_seeds.loadable_weights, layouts.of_safetensors,
           (_load_prior, _load_image_denoiser), torch=True),
    Reader("events", "events.jsonl", run_seeds.event_lines, mutations.of_json_lines, (_read_run,), _run),
    Reader("run_spec", "spec.json", run_seeds.specs_json, mutations.of_json, (_read_run,), _run),
    Reader("manifest", "manifest.json", run_seeds.manifests, mutations.of_json, (_read_manifest, _read_run), _run),
    Reader("lock", "lock", run_seeds.locks, mutations.of_json, (_read_run,), _run),
    Reader("kept_sample", "checkpoints/samples/0001.npz", seeds.kept_samples, mutations.of_npz, (_read_sample,), _run),
    Reader("parent", "parent.json", run_seeds.parents, mutations.of_json, (_read_run, _read_parent), _run),
    Reader("plan", "parts/plan.json", run_seeds.plans, mutations.of_json, (_read_plan,), _run),
    Reader("submission", slurm_submission.NAME, run_seeds.submissions, mutations.of_json, (_read_submission,), _run),
    Reader("results_json", "averages.json", run_seeds.results_json, mutations.of_json,
           (json_files.read_json, _read_facts, lambda p: shutil.copyfile(p, p.with_name("metrics.json")) and
            volumes.run_kind(p.parent))),
    Reader("project", "project.json", run_seeds.projects, mutations.of_json,
           (lambda p: project_files.read_project(p.parent),)),
    Reader("session", "session.json", run_seeds.sessions, mutations.of_json, (_read_session,)),
    Reader("preset", "preset.toml", run_seeds.presets, of_text(_TOML_WORDS), (_read_preset,)),
)  # fmt: skip
