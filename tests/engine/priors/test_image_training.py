"""Image denoisers learn, resume exactly, see images turned as they should be, and survive their files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from scipy import ndimage
from torch import Tensor

from engine.errors import PriorError
from engine.io.formats import summarise
from engine.io.particle_extent import soft_disc
from engine.io.weights_header import IMAGE_DENOISER_FORMAT
from engine.priors.image_checkpoint import ImageDenoiserCard, load_image_denoiser, save_image_denoiser
from engine.priors.image_training import ImageTrainer, denoising_errors, moved, quarter_turns
from engine.priors.unet import build_denoiser

BOX, RADIUS = 16, 6.0
CARD = ImageDenoiserCard("small", BOX, 3.0, RADIUS, 1.0, {"training_images": 7, "file": "a.mrcs", "steps": 5})


def bars(n: int = 8) -> Tensor:
    """A bright bar beside the centre: in every image the same but for its width."""
    y, x = np.meshgrid(np.arange(BOX) - BOX // 2, np.arange(BOX) - BOX // 2, indexing="ij")
    images = np.stack([np.exp(-((x - 2) ** 2) / (2 * w**2) - y**2 / 8) for w in np.linspace(0.8, 1.6, n)])
    r = np.hypot(x, y)
    images = (images - images[:, r <= RADIUS].mean()) / images[:, r <= RADIUS].std()
    return torch.from_numpy((images * soft_disc(BOX, RADIUS)).astype(np.float32))


def trainer(seed: int = 1) -> ImageTrainer:
    torch.manual_seed(0)
    return ImageTrainer(
        build_denoiser("small", BOX, RADIUS),
        bars(),
        mask=torch.from_numpy(soft_disc(BOX, RADIUS)),
        background=float(bars()[0, BOX // 2, BOX // 2 - 5]),
        learning_rate=1e-3,
        warmup=5,
        ema_decay=0.9,
        noise=(-1.2, 1.2),
        shift_px=0.2,
        seed=seed,
    )


def test_learns_what_white_noise_does_not_know() -> None:
    t = trainer()
    for i in range(40):
        t.step(8, i / 40)
    held = quarter_turns(t.model.support * bars(3), 24)
    errors = denoising_errors(t.average, held, [0.4, 1.6], support=t.model.support)
    assert len(held) == 24
    assert errors[0.4] < 0.9 / (1 + 0.4**2) ** 0.5
    assert errors[1.6] < 0.7 / (1 + 1.6**2) ** 0.5


def test_resumed_training_takes_the_same_steps(tmp_path: Path) -> None:
    whole, first, second = trainer(), trainer(), trainer(seed=99)
    expected = [whole.step(4, i / 6) for i in range(6)]
    for i in range(3):
        first.step(4, i / 6)
    first.save(tmp_path / "t.safetensors")
    second.load(tmp_path / "t.safetensors")
    assert (second.steps, second.seen) == (3, 12)
    assert [second.step(4, i / 6) for i in range(3, 6)] == expected[3:]
    for a, b in zip(whole.average.parameters(), second.average.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_augmentation_turns_from_x_to_y_after_mirroring_and_keeps_the_mask() -> None:
    images = bars(1).expand(4, -1, -1)
    angle = torch.tensor([0.0, np.pi / 2, 0.0, np.pi / 2])
    mirrored = torch.tensor([False, False, True, True])
    found = moved(images, angle, mirrored, torch.zeros(4, 2))
    # the bar lies 2 pixels towards +x; a quarter turn brings it to +y; mirrored it starts at -x
    inner = np.hypot(*np.mgrid[-8:8, -8:8]) < 4
    for image, (dx, dy) in zip(found.numpy(), ((2, 0), (0, 2), (-2, 0), (0, -2)), strict=True):
        y, x = ndimage.center_of_mass((image - image[inner].min()) * inner)
        assert (x - 8, y - 8) == pytest.approx((dx, dy), abs=0.3)
    shifted = moved(images[:1], angle[:1], mirrored[:1], torch.tensor([[1.0, -2.0]]))
    torch.testing.assert_close(shifted[0, 2:-2, 2:-2], images[0].roll((-2, 1), (0, 1))[2:-2, 2:-2])
    t = trainer()
    clean, _, _ = t.draw(32)
    edge = torch.from_numpy(np.hypot(*np.mgrid[-8:8, -8:8])) == 6
    torch.testing.assert_close(
        clean[:, edge], torch.full((32, int(edge.sum())), 0.5 * float(t._ground[8, 8])), rtol=0, atol=0.25
    )


def test_quarter_turns_move_pixels_and_change_none() -> None:
    for box in (9, 10):
        torch.manual_seed(0)
        image = torch.randn(1, box, box)
        if box % 2 == 0:
            image[:, 0], image[:, :, 0] = 0, 0
        turned = quarter_turns(image, 8)
        assert len(turned) == 8
        assert len({tuple(t.flatten().tolist()) for t in turned}) == 8
        for t in turned:
            torch.testing.assert_close(t.flatten().sort().values, image.flatten().sort().values)
            assert float(t[box // 2, box // 2]) == float(image[0, box // 2, box // 2])


def test_a_denoiser_survives_its_file(tmp_path: Path) -> None:
    torch.manual_seed(0)
    d = build_denoiser("small", BOX, RADIUS).eval()
    save_image_denoiser(tmp_path / "d.safetensors", d.state_dict(), CARD, half=False)
    save_image_denoiser(tmp_path / "half.safetensors", d.state_dict(), CARD)
    again, card = load_image_denoiser(tmp_path / "d.safetensors")
    half, _ = load_image_denoiser(tmp_path / "half.safetensors")
    x, sigma = torch.randn(2, BOX, BOX), torch.tensor([0.1, 1.0])
    assert card == CARD
    with torch.no_grad():
        torch.testing.assert_close(again(x, sigma), d(x, sigma), rtol=0, atol=0)
        torch.testing.assert_close(half(x, sigma), d(x, sigma), rtol=0, atol=5e-3)
    summary = summarise(tmp_path / "d.safetensors")
    assert summary.kind == "image_denoiser"
    assert "2D denoiser" in summary.title
    assert "16 × 16 pixels of 3 Å" in summary.lines[1]


def test_a_denoiser_is_for_one_kind_of_images() -> None:
    CARD.require(BOX, 3.01, RADIUS, path="d")
    for other, words in (
        ((24, 3.0, RADIUS), "16 pixels"), ((BOX, 3.5, RADIUS), "3.5 Å"), ((BOX, 3.0, 3.0), "mask of 36 Å"),
    ):  # fmt: skip
        with pytest.raises(PriorError, match=words):
            CARD.require(*other, path="d")


def broken(tmp_path: Path, kind: str) -> Path:
    path = tmp_path / "d.safetensors"
    torch.manual_seed(0)
    state = build_denoiser("small", BOX, RADIUS).state_dict()
    described = dict(vars(CARD))
    if kind == "truncated":
        save_image_denoiser(path, state, CARD)
        path.write_bytes(path.read_bytes()[:-1000])
    elif kind == "not safetensors":
        path.write_bytes(np.random.default_rng(0).bytes(5000))
    elif kind == "nan":
        save_image_denoiser(path, {k: v * float("nan") for k, v in state.items()}, CARD)
    elif kind == "3D prior":
        save_file({"a": torch.zeros(2)}, path, metadata={"format": "verglas-prior-1", "card": "{}"})
    elif kind != "missing":
        described |= {
            "architecture": {"architecture": "unheard-of"}, "other architecture": {"architecture": "paper"},
            "huge box": {"box": 10**6}, "text": {"mask_radius_px": "7"}, "unknown key": {"colour": 1},
            "nonsense": {"box": [1]},
        }[kind]  # fmt: skip
        save_file(state, path, metadata={"format": IMAGE_DENOISER_FORMAT, "card": json.dumps(described)})
    return path


@pytest.mark.parametrize(
    "kind",
    [
        "missing", "truncated", "not safetensors", "nan", "3D prior", "architecture", "other architecture",
        "huge box", "text", "unknown key", "nonsense",
    ],
)  # fmt: skip
def test_wrong_files_are_refused_in_words(tmp_path: Path, kind: str) -> None:
    with pytest.raises(PriorError) as caught:
        load_image_denoiser(broken(tmp_path, kind))
    assert caught.value.problem
    assert caught.value.advice
