"""Train a prior: from a file of clouds to a weights file with its measured quality."""

from __future__ import annotations

import json
import math
from pathlib import Path

import torch
from torch import Tensor

from engine.errors import SpecError
from engine.events import Metric, Progress, Snapshot
from engine.io.atomic import write_npy, write_text
from engine.io.clouds import read_clouds
from engine.numerics.devices import choose_device, multiplies_bfloat16
from engine.pipelines.build_clouds import build as build_clouds
from engine.pipelines.context import RunContext
from engine.pipelines.learning_curve import LearningCurve, Row
from engine.pipelines.training_loop import SamplePace, TrainingLoop
from engine.priors.checkpoint import PriorCard, build, load_prior, save_prior, sha256
from engine.priors.team import Team
from engine.priors.training import Trainer, denoising_errors
from engine.priors.training_state import hold_out
from engine.sampling.ode import heun
from engine.sampling.schedules import noise_levels
from engine.specs.clouds import CloudSettings
from engine.specs.job import TrainPriorSpec

VALIDATION_SIGMAS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
VALIDATION_CLOUDS = 40  # of the validation set, while training; all of them at the end
SAMPLES = 3  # shown while training
SAMPLE_STEPS = 12
SAMPLE_SECONDS = 60.0
SAMPLE_SHARE = 0.03  # of the time, at most
SHOWN_SCALE = 100.0  # a cloud without a size of its own is shown as one of 100 Å


def _sets(spec: TrainPriorSpec, source: Path, kept_back: Path | None) -> tuple[Tensor, Tensor]:
    """Training and validation clouds, CPU, as stored."""
    training = torch.from_numpy(read_clouds(source).points)
    validation = spec.validation or kept_back
    if validation is not None:
        return training, torch.from_numpy(read_clouds(validation).points)
    if len(training) < 10:
        raise SpecError("Fewer than 10 clouds can't be split.", "Give more clouds, or a validation file.")
    kept, held = hold_out(len(training), min(200, max(1, len(training) // 10)), spec.seed)
    return training[kept], training[held]


def _files(spec: TrainPriorSpec, context: RunContext, team: Team | None) -> tuple[Path, Path | None]:
    """Training and validation clouds; of a folder of structures built once, in the run directory."""
    source = Path(spec.clouds)
    if not source.is_dir():
        return source, None
    built = context.folder / "clouds" / "clouds.npz"
    if (team is None or team.leads) and not built.is_file():
        _build(source, built, context)
    if team is not None:
        team.wait()
    training, validation = (built.with_name(f"clouds.{split}.npz") for split in ("train", "val"))
    if spec.validation is None and training.is_file() and validation.is_file():
        return training, validation
    return built, None


def _build(folder: Path, out: Path, context: RunContext) -> None:
    def report(done: int, total: int, rejected: int) -> None:
        context.emit(Progress(stage="building clouds", done=done, total=total))

    out.parent.mkdir(parents=True, exist_ok=True)
    # near-duplicates stay together, so that validation means something
    found = build_clouds(folder, out, CloudSettings(split="0.9,0.1"), report=report, cancel=context.check)
    context.notice(f"{found.clouds} clouds of {folder}, {found.clusters} different shapes.")
    if found.rejected:
        context.notice(
            f"{len(found.rejected)} files gave no cloud: the reasons are in clouds/clouds.rejected.csv.",
            warning=True,
        )


def _options(spec: TrainPriorSpec) -> dict[str, int]:
    given = {"width": spec.width, "layers": spec.layers}
    return {k: v for k, v in given.items() if v is not None}


def _trainer(
    spec: TrainPriorSpec, context: RunContext, sigma_data: float, points: int, team: Team | None
) -> tuple[Trainer, PriorCard]:
    torch.manual_seed(spec.seed)
    if spec.start_from is not None:
        model, old = load_prior(spec.start_from)
        card = PriorCard(old.architecture, old.options, old.sigma_data, points)
        model.requires_grad_(True)
        context.notice(f"Starting from {spec.start_from} ({old.architecture}); its architecture is kept.")
    else:
        card = PriorCard(spec.architecture, dict(_options(spec)), sigma_data, points)
        model = build(card)
    device = context.device if team is None else team.device
    precision = spec.precision
    if precision == "auto":
        precision = "bfloat16" if multiplies_bfloat16(device) else "float32"
    trainer = Trainer(
        model.to(device),
        learning_rate=spec.learning_rate,
        warmup=spec.warmup,
        ema_decay=spec.ema_decay,
        noise=(spec.p_mean, spec.p_std),
        high_noise=spec.high_noise,
        second_phase=spec.second_phase,
        min_points=spec.min_points,
        mirrored=spec.augment == "O3",
        seed=spec.seed,
        precision=precision,
        accumulate=spec.accumulate,
        compiled=spec.compile,
        team=team,
    )
    return trainer, card


class _Training:
    """A training of point clouds, as the loop wants it."""

    def __init__(self, spec: TrainPriorSpec, context: RunContext, team: Team | None) -> None:
        self.spec, self.context = spec, context
        if team is not None and spec.batch < team.size:
            raise SpecError(
                f"A batch of {spec.batch} can't be shared by {team.size} processes.",
                f"Set `batch` to {team.size} or more, or start fewer processes.",
            )
        self.source, kept_back = _files(spec, context, team)
        self._source_sha256 = sha256(self.source)
        self.clouds, self.validation = _sets(spec, self.source, kept_back)
        sigma_data = round(float(self.clouds.float().std()), 4)
        self._losses: list[float] = []
        self._curve: LearningCurve | None = None
        self._pace = SamplePace(seconds=SAMPLE_SECONDS, share=SAMPLE_SHARE, rarer=0.01)
        self.trainer, self.card = _trainer(spec, context, sigma_data, self.clouds.shape[1], team)

    def step(self, progress: float) -> float:
        loss = self.trainer.step(self.clouds, self.spec.batch, progress)
        self._losses.append(loss)
        return loss

    def pause(self) -> None:
        """Samples of the prior, when it is time for some."""
        self._pace.keep(self.trainer.seconds, self.show_samples)

    @torch.no_grad()
    def show_samples(self) -> None:
        """The same noise every time, so that one can watch shapes form."""
        points, device = self.clouds.shape[1], self.trainer.device
        noise = torch.randn(SAMPLES, points, 3, generator=torch.Generator().manual_seed(self.spec.seed))
        with self.trainer.autocast():
            drawn = heun(self.trainer.average, noise.to(device), noise_levels(SAMPLE_STEPS, 20.0, 0.02, 5.0))
        path = Path("snapshots") / f"step_{self.trainer.steps:08d}.npy"
        write_npy(self.context.folder / path, SHOWN_SCALE * drawn.float().cpu().numpy())
        self.context.emit(Snapshot(self.trainer.steps, self.spec.max_steps, 0.0, path.as_posix()))

    def validate(self, count: int) -> dict[float, float]:
        errors = denoising_errors(self.trainer.average, self.validation[:count], VALIDATION_SIGMAS)
        for sigma, error in errors.items():
            self.context.emit(Metric(f"validation RMSE/σ at σ={sigma:g}", self.trainer.steps, error))
        return errors

    def save(self, *, final: bool) -> None:
        """Weights and metrics: a training that stops here keeps them."""
        count = len(self.validation) if final else VALIDATION_CLOUDS
        errors = self.validate(count)
        self._learned(errors)
        trained = {
            "kind": "train_prior",
            "clouds": Path(self.spec.clouds).name,
            "clouds_sha256": self._source_sha256,
            "training_clouds": len(self.clouds),
            "steps": self.trainer.steps,
            "clouds_seen": self.trainer.seen,
            "hours": round(self.trainer.seconds / 3600, 3),
            "device": self.context.device_words,
            "batch": self.spec.batch,
            "augment": self.spec.augment,
            "precision": self.trainer.precision,
            "processes": 1 if self.trainer.team is None else self.trainer.team.size,
            "learning_rate": self.spec.learning_rate,
            "parameters": sum(p.numel() for p in self.trainer.model.parameters()),
            "validation_clouds": min(count, len(self.validation)),
            "validation_rmse_over_sigma": {f"{s:g}": round(e, 4) for s, e in errors.items()},
        }
        card = PriorCard(
            self.card.architecture, self.card.options, self.card.sigma_data, self.card.points, trained
        )
        weights = self.context.folder / "results" / "prior.safetensors"
        save_prior(weights, self.trainer.average.state_dict(), card, half=True)
        write_text(self.context.folder / "results" / "metrics.json", json.dumps(trained, indent=1))

    def _learned(self, errors: dict[float, float]) -> None:
        results, t = self.context.folder / "results", self.trainer
        loss = sum(self._losses) / len(self._losses) if self._losses else math.nan
        # not before: only now is it known where a resumed training stood
        self._curve = self._curve or LearningCurve(results / "learning_curve.csv", t.steps)
        self._curve.add(Row(t.steps, t.seen, t.seconds / 3600, loss, errors))
        self._curve.draw(results / "learning_curve.png", self.card.sigma_data)
        self._losses = []


def _loop(training: _Training, spec: TrainPriorSpec, context: RunContext) -> TrainingLoop:
    return TrainingLoop(
        training,
        context,
        seconds=3600 * spec.hours,
        max_steps=spec.max_steps,
        checkpoint_seconds=60 * spec.checkpoint_minutes,
    )


def run(spec: TrainPriorSpec, context: RunContext) -> None:
    """Train until the time or the steps are used up; continues from the folder's checkpoint.

    Writes ``results/prior.safetensors`` (float16 weight average with its card) and
    ``results/metrics.json``. A cancelled training keeps both, and a checkpoint to go on from. Started by
    ``torchrun``, this is the leader of several processes; the others call :func:`assist`.
    """
    team = Team.join(context.device)
    try:
        training = _Training(spec, context, team)
        t, validation = training.trainer, training.validation
        parameters = sum(p.numel() for p in t.model.parameters())
        context.notice(
            f"{parameters:,} parameters; {len(training.clouds)} training and {len(validation)} validation "
            f"clouds of {training.clouds.shape[1]} points; σ_data {training.card.sigma_data:g}."
            + (f" {team.size} processes share each batch." if team is not None else "")
        )
        _loop(training, spec, context).run()
    finally:
        if team is not None:
            team.leave()
    context.result("prior", context.folder / "results" / "prior.safetensors")
    context.result("metrics", context.folder / "results" / "metrics.json")
    context.result("figure", context.folder / "results" / "learning_curve.png")


def assist(spec: TrainPriorSpec, folder: Path) -> None:
    """Take part in a training that another process leads in ``folder``: what ``torchrun`` starts besides it.

    Raises
    ------
    SpecError
        If this process was not started by ``torchrun``.
    """
    choice = choose_device(spec.device)
    context = RunContext(folder, lambda event: None, lambda: False, choice.device, choice.words)
    team = Team.join(choice.device)
    if team is None:
        raise SpecError("This process belongs to no team.", "Start it with `torchrun`.")
    try:
        _loop(_Training(spec, context, team), spec, context).follow()
    finally:
        team.leave()
