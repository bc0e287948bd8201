"""Trains the small text-to-image model from nothing; resumable at any kill, on a CPU or CUDA.

    python -m assets.models.mini.train WORK --samples 400000

Makes its data (`data.py`) and word vectors (`words.py`) when WORK lacks them. WORK/state.pt is written every few
minutes and goes on where it stopped; the batch of a step depends on the step's number alone. With `--finish` the
learning rate falls to nothing over the last 30 %; `export.py` then writes the averaged weights in half precision.

Pixels: RGBA, premultiplied, -1 to 1, SIDE x SIDE. x-prediction with the loss of the velocity, t = 1 is noise
(Back to Basics, arXiv:2511.13720); matrices of the blocks by Muon, the rest by AdamW.

On two cores, one thread and `--compile` with MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=20000000000 in the environment
do about 60 pictures a second and core with AMX; without them a third less. Two threads do 57 a second with AVX-512's
bfloat16, 35 in float32.
"""

from __future__ import annotations

import argparse
import random
import time
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import nn

from assets.models.mini import data, words

SIDE = 64
TRANSFORMER = {
    "in_channels": 4, "patch_size": 8, "hidden_size": 288, "depth": 7, "num_heads": 6, "axes_dim": [24, 24],
    "mlp_ratio": 8 / 3, "bottleneck_size": 96, "context_in_dim": words.WIDTH, "resolution_embeds": False,
}  # fmt: skip
BATCH, RATE, WARM, DROPPED = 64, 2e-3, 200, 0.1
LEAST_T = 0.15
KEEP = 0.999
LATE, LATER = 0.6, 3.0  # from this part of a run on, things are drawn so much more often: people are learned first
SHARE = {0: 2.5, 1: 1.0, 3: 2.0, 4: 1.6, 5: 1.0, 6: 1.6, 7: 1.4, 8: 0.4}  # how often a group is drawn, a render


class Nets(nn.Module):
    """The denoiser and the text encoder that is trained with it."""

    def __init__(self, vectors: torch.Tensor) -> None:
        super().__init__()
        from diffusers import PRXTransformer2DModel
        from transformers import BertConfig, BertModel

        self.transformer = PRXTransformer2DModel(**TRANSFORMER)
        config = BertConfig(
            vocab_size=len(vectors), hidden_size=words.WIDTH, num_hidden_layers=2, num_attention_heads=2,
            intermediate_size=4 * words.WIDTH, max_position_embeddings=words.TOKENS, type_vocab_size=1,
            hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
        )  # fmt: skip
        self.text = BertModel(config, add_pooling_layer=False)
        table = self.text.embeddings.word_embeddings.weight
        table.data.copy_(vectors)
        table.requires_grad_(False)

    def forward(self, noisy: torch.Tensor, t: torch.Tensor, ids: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        context = self.text(input_ids=ids, attention_mask=seen).last_hidden_state
        return self.transformer(noisy, t, context, seen.bool()).sample


class Batches:
    """The batch of a step: premultiplied pixels and token ids."""

    def __init__(self, work: Path, tokenizer, late: int) -> None:
        """From the step `late` on, things are drawn more often."""
        from PIL import Image

        self.late = late

        renders, self.rows = data.load(work)
        small = work / f"small-{SIDE}.npy"
        if not small.exists():
            np.save(small, np.stack([_small(Image.fromarray(picture)) for picture in renders]))
        self.pixels = torch.from_numpy(np.load(small))
        self.tokenizer = tokenizer
        self.weight = torch.tensor([0.0 if row.held_out else _share(row) for row in self.rows])
        self.things = torch.tensor([1.0 if row.group in (0, data.PEOPLE) else LATER for row in self.rows])

    def __call__(self, step: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Pixels (B, 4, S, S), ids (B, T), mask (B, T)."""
        dice, chance = random.Random(step), torch.Generator().manual_seed(step)
        weight = self.weight * self.things if step >= self.late else self.weight
        picks = torch.multinomial(weight, BATCH, replacement=True, generator=chance).tolist()
        texts = ["" if dice.random() < DROPPED else data.caption(self.rows[n], dice) for n in picks]
        pixels = self.pixels[picks].float() / 127.5 - 1
        for n, pick in enumerate(picks):
            if self.rows[pick].turns and dice.random() < 0.5:
                pixels[n] = pixels[n].flip(-1)
        ids, seen = tokens(self.tokenizer, texts)
        return pixels, ids, seen


def tokens(tokenizer, texts: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and mask of texts, each len(texts) x TOKENS."""
    out = tokenizer(texts, padding="max_length", truncation=True, max_length=words.TOKENS, return_tensors="pt")
    return out["input_ids"], out["attention_mask"]


def _small(picture) -> np.ndarray:
    """4 x SIDE x SIDE uint8 of a 256 px RGBA picture: colour premultiplied about grey, so that 127.5 is nothing."""
    full = np.asarray(picture, np.float32) / 255
    flat = np.dstack([(full[..., :3] * 2 - 1) * full[..., 3:], full[..., 3] * 2 - 1])
    k = full.shape[0] // SIDE
    pooled = flat.reshape(SIDE, k, SIDE, k, 4).mean((1, 3))
    return np.clip((pooled + 1) * 127.5 + 0.5, 0, 255).astype(np.uint8).transpose(2, 0, 1)


def _share(row: data.Row) -> float:
    """People with a tone are many; a plain yellow one and clocks, symbols and couples are wanted less."""
    if row.group == data.PEOPLE:
        plain = not row.tone
        return 0.35 if plain and row.gender else 0.5 if plain else 1.6 if row.role in data.ROLES else 1.0
    return 0.3 if "-thirty" in row.label or "o’clock" in row.label else SHARE[row.group]


def times(count: int, chance: torch.Generator) -> torch.Tensor:
    """How much noise: the middle more often than the ends."""
    return torch.sigmoid(0.9 * torch.randn(count, generator=chance) + 0.6)


def loss_of(nets: nn.Module, batch: tuple[torch.Tensor, ...], step: int, device: str) -> torch.Tensor:
    pixels, ids, seen = (part.to(device) for part in batch)
    chance = torch.Generator().manual_seed(step + 1_000_003)
    t = times(len(pixels), chance).to(device)
    noise = torch.randn(pixels.shape, generator=chance).to(device)
    at = t[:, None, None, None]
    with torch.autocast(device, dtype=torch.bfloat16, enabled=half(device)):
        clean = nets((1 - at) * pixels + at * noise, t, ids, seen)
    error = (clean.float() - pixels).square().mean((1, 2, 3))
    return (error / t.clamp(min=LEAST_T).square()).mean()


@cache
def half(device: str) -> bool:
    """Whether bfloat16 is quicker: a processor that has no products of it takes half again as long as in float32."""
    told = Path("/proc/cpuinfo")
    return device != "cpu" or (told.exists() and any(unit in told.read_text() for unit in ("amx_bf16", "avx512_bf16")))


def optimizers(nets: Nets) -> list[torch.optim.Optimizer]:
    blocks = nets.transformer.blocks.named_parameters()
    inner = [p for n, p in blocks if p.ndim == 2 and "modulation" not in n]
    inside = {id(p) for p in inner}
    rest = [p for p in nets.parameters() if p.requires_grad and id(p) not in inside]
    return [
        torch.optim.Muon(inner, lr=RATE, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, lr=RATE / 2, betas=(0.9, 0.99), weight_decay=0.0, fused=True),
    ]


def rate(step: int, last: int, finish: bool) -> float:
    """Share of the learning rate: up at first, level, and down to nothing over the last 30 % of a run that finishes."""
    down = min(1.0, (last - step) / (0.3 * last)) if finish else 1.0
    return min(1.0, (step + 1) / WARM) * down


def build(work: Path) -> tuple[Nets, object]:
    """Fresh nets and the tokenizer; fetches what is missing."""
    from transformers import AutoTokenizer

    torch.manual_seed(0)
    if not (work / "rows.json").exists():
        data.pack(work)
    if not (work / "vectors.pt").exists():
        _, kept = words.make_tokenizer(words.minilm(work), work / "tokenizer", data.known(data.load(work)[1]))
        torch.save(words.make_vectors(words.minilm(work), kept), work / "vectors.pt")
    return Nets(torch.load(work / "vectors.pt")), AutoTokenizer.from_pretrained(work / "tokenizer")


def shipped(nets: Nets) -> None:
    """Load the weights that lie beside this file, to go on from them with fresh optimizers."""
    from safetensors.torch import load_file

    here = Path(__file__).parent
    nets.transformer.load_state_dict(load_file(here / "transformer" / "diffusion_pytorch_model.safetensors"))
    text = load_file(here / "text_encoder" / "model.safetensors")
    nets.text.load_state_dict({name: tensor for name, tensor in text.items() if not name.startswith("pooler.")})


def train(work: Path, samples: int, finish: bool, device: str, minutes: float, compiled: bool, warm: int) -> Nets:
    """Trains on `samples` pictures, or for `minutes`; returns the averaged nets.

    `warm`: pictures that the weights that ship have seen; the run goes on from them. Nothing: from fresh nets.
    """
    nets, tokenizer = build(work)
    if warm:
        shipped(nets)
    nets.to(device)
    mean = Nets(torch.load(work / "vectors.pt")).to(device)
    mean.load_state_dict(nets.state_dict())
    step, last, steppers = 0, samples // BATCH, optimizers(nets)
    # The weights that ship have had their time of people first.
    batches = Batches(work, tokenizer, 0 if warm else round(LATE * last))
    if (work / "state.pt").exists():
        state = torch.load(work / "state.pt", map_location=device)
        step = state["step"]
        nets.load_state_dict(state["nets"])
        mean.load_state_dict(state["mean"])
        for stepper, kept in zip(steppers, state["steppers"], strict=True):
            stepper.load_state_dict(kept)
    model = torch.compile(nets) if compiled else nets
    ahead = warm // BATCH
    since, saved, losses = time.monotonic(), time.monotonic(), []
    while step < last and time.monotonic() - since < minutes * 60:
        for stepper, base in zip(steppers, (RATE, RATE / 2), strict=True):
            for group in stepper.param_groups:
                group["lr"] = base * rate(step, last, finish)
        loss = loss_of(model, batches(ahead + step), ahead + step, device)
        loss.backward()
        nn.utils.clip_grad_norm_(nets.parameters(), 1.0)
        for stepper in steppers:
            stepper.step()
            stepper.zero_grad(set_to_none=True)
        keep = min(KEEP, (1 + step) / (10 + step))
        with torch.no_grad():
            pairs = [(m, n) for m, n in zip(mean.parameters(), nets.parameters(), strict=True) if n.requires_grad]
            torch._foreach_lerp_([m for m, _ in pairs], [n for _, n in pairs], 1 - keep)
        step += 1
        losses.append(loss.item())
        if step % 50 == 0:
            speed = len(losses) * BATCH / (time.monotonic() - since)
            print(f"{step * BATCH} samples, loss {np.mean(losses[-200:]):.4f}, {speed:.0f} samples/s", flush=True)
        if time.monotonic() - saved > 240 or step == last:
            saved = time.monotonic()
            kept = [stepper.state_dict() for stepper in steppers]
            part = {"step": step, "nets": nets.state_dict(), "mean": mean.state_dict(), "steppers": kept}
            torch.save(part, work / "state.part")
            (work / "state.part").replace(work / "state.pt")
    return mean.eval()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("work", type=Path)
    parser.add_argument("--samples", type=int, default=400_000)
    parser.add_argument("--finish", action="store_true")
    parser.add_argument("--minutes", type=float, default=1e9)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--warm", type=int, default=0, help="begin with the weights that ship, so many pictures old")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    asked = parser.parse_args()
    train(asked.work, asked.samples, asked.finish, asked.device, asked.minutes, asked.compile, asked.warm)
