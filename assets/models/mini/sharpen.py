"""Training of the sharpener, which enlarges the small model's 64 px picture to 256 px; resumable.

    python -m assets.models.mini.sharpen WORK --steps 3000

It learns from the same renders. The input is the denoiser's output for a slightly noised small render if WORK has a
trained denoiser (`state.pt`), else the small render with noise; the target is the render itself. So it learns to repair
the blur and the patch seams of the denoiser. L1 on pixels and on their differences; the architecture is
SRVGGNetCompact's (Real-ESRGAN, arXiv:2107.10833): 3 x 3 convolutions and a pixel shuffle over the enlarged input.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.functional import interpolate

from assets.models.mini import data, train

SCALE, CHANNEL_COUNT, LAYER_COUNT = 4, 64, 12
BATCH_SIZE, CROP_SIDE_PX, LEARNING_RATE = 12, 32, 6e-4
Pixels = torch.Tensor


class Sharpener(nn.Module):
    """RGBA, premultiplied, -1 to 1: B x 4 x H x W to B x 4 x 4H x 4W."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(4, CHANNEL_COUNT, 3, padding=1), nn.PReLU(CHANNEL_COUNT)]
        for _ in range(LAYER_COUNT):
            layers += [nn.Conv2d(CHANNEL_COUNT, CHANNEL_COUNT, 3, padding=1), nn.PReLU(CHANNEL_COUNT)]
        layers += [nn.Conv2d(CHANNEL_COUNT, 4 * SCALE**2, 3, padding=1), nn.PixelShuffle(SCALE)]
        self.net = nn.Sequential(*layers)
        nn.init.zeros_(layers[-2].weight)

    def forward(self, small: Pixels) -> Pixels:
        return self.net(small) + interpolate(small, scale_factor=SCALE, mode="bilinear", align_corners=False)


def compute_loss(made: Pixels, wanted: Pixels) -> torch.Tensor:
    """Compute L1 of pixels plus twice L1 of differences along both axes, which stand for edges."""
    error = made - wanted
    return error.abs().mean() + 2 * (error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean())


def premultiply_alpha(picture: np.ndarray) -> Pixels:
    """Convert an RGBA picture to premultiplied 4 x S x S, -1 to 1."""
    full = torch.from_numpy(np.ascontiguousarray(picture)).float().permute(2, 0, 1) / 255
    return torch.cat([(full[:3] * 2 - 1) * full[3:], full[3:] * 2 - 1])


class CropSampler:
    """The small and large crops of each step."""

    def __init__(self, work: Path) -> None:
        self.renders, self.rows = data.load_dataset(work)
        self.weight = torch.tensor([0.0 if row.held_out else train._sampling_weight(row) for row in self.rows])
        self.base = _load_denoiser(work)

    def __call__(self, step: int) -> tuple[Pixels, Pixels]:
        chance = torch.Generator().manual_seed(step)
        picks = torch.multinomial(self.weight, BATCH_SIZE, replacement=True, generator=chance).tolist()
        large = torch.stack([premultiply_alpha(self.renders[n]) for n in picks])
        small = interpolate(large, size=train.SIDE_PX, mode="area")
        small = self._degrade_inputs(small, picks, chance)
        at = torch.randint(0, train.SIDE_PX - CROP_SIDE_PX + 1, (2,), generator=chance).tolist()
        y, x = at
        cut = large[..., y * SCALE : (y + CROP_SIDE_PX) * SCALE, x * SCALE : (x + CROP_SIDE_PX) * SCALE]
        return small[..., y : y + CROP_SIDE_PX, x : x + CROP_SIDE_PX], cut

    def _degrade_inputs(self, small: Pixels, picks: list[int], chance: torch.Generator) -> Pixels:
        noise = torch.randn(small.shape, generator=chance)
        if self.base is None:
            return small + noise * 0.04 * torch.rand(len(picks), 1, 1, 1, generator=chance)
        nets, tokenizer = self.base
        t = 0.45 * torch.rand(len(picks), generator=chance)
        at = t[:, None, None, None]
        ids, seen = train.tokenize_texts(tokenizer, [self.rows[n].label for n in picks])
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
            return nets((1 - at) * small + at * noise, t, ids, seen).float()


def _load_denoiser(work: Path):
    if not (work / "state.pt").exists():
        return None
    nets, tokenizer = train.build_nets(work)
    nets.load_state_dict(torch.load(work / "state.pt", map_location="cpu")["mean"])
    return nets.eval(), tokenizer


def train_sharpener(work: Path, steps: int, minutes: float, fresh: bool) -> nn.Module:
    """Train up to `steps` with a cosine schedule of the learning rate; WORK/sharpen.pt is the checkpoint."""
    net = Sharpener().to(memory_format=torch.channels_last)
    stepper, step, path = (
        torch.optim.AdamW(net.parameters(), lr=LEARNING_RATE, weight_decay=0.0),
        0,
        work / "sharpen.pt",
    )
    if path.exists():
        state = torch.load(path)
        net.load_state_dict(state["net"])
        if not fresh:
            stepper.load_state_dict(state["stepper"])
            step = state["step"]
    pairs, since, saved, losses = CropSampler(work), time.monotonic(), time.monotonic(), []
    while step < steps and time.monotonic() - since < minutes * 60:
        stepper.param_groups[0]["lr"] = LEARNING_RATE * (0.02 + 0.98 * (1 + math.cos(math.pi * step / steps)) / 2)
        small, large = pairs(step)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            made = net(small.contiguous(memory_format=torch.channels_last))
        loss = compute_loss(made.float(), large)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 0.5)
        stepper.step()
        stepper.zero_grad(set_to_none=True)
        step += 1
        losses.append(loss.item())
        if step % 50 == 0:
            print(f"{step}: {np.mean(losses[-50:]):.4f}, {(time.monotonic() - since) / len(losses):.2f} s", flush=True)
        if time.monotonic() - saved > 180 or step == steps:
            saved = time.monotonic()
            torch.save({"net": net.state_dict(), "stepper": stepper.state_dict(), "step": step}, path)
    return net


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("work", type=Path)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--minutes", type=float, default=1e9)
    parser.add_argument("--fresh", action="store_true", help="start the schedule anew from the weights that stand")
    asked = parser.parse_args()
    train_sharpener(asked.work, asked.steps, asked.minutes, asked.fresh)
