"""Training of the small text-to-image model from scratch; resumable, on a CPU or CUDA.

    python -m assets.models.mini.train WORK --samples 400000

Makes its data (`data.py`) and word vectors (`words.py`) when WORK lacks them. WORK/state.pt is written every few
minutes, and a new run continues from it; the batch of a step depends only on the step's number. With `--finish` the
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

SIDE_PX = 64
TRANSFORMER = {
    "in_channels": 4, "patch_size": 8, "hidden_size": 288, "depth": 7, "num_heads": 6, "axes_dim": [24, 24],
    "mlp_ratio": 8 / 3, "bottleneck_size": 96, "context_in_dim": words.VECTOR_WIDTH, "resolution_embeds": False,
}  # fmt: skip
BATCH_SIZE = 64
LEARNING_RATE = 2e-3
WARMUP_STEP_COUNT = 200
PROMPT_DROPOUT_RATIO = 0.1
MIN_LOSS_TIME = 0.15  # lower bound of the noise time that the loss is divided by
AVERAGING_RATIO = 0.999  # decay of the exponential moving average of the weights
# In the late phase of a run, things are sampled more often by this factor: people are learned first.
LATE_PHASE_RATIO, LATE_THINGS_WEIGHT = 0.6, 3.0
GROUP_WEIGHTS = {
    0: 2.5,
    1: 1.0,
    3: 2.0,
    4: 1.6,
    5: 1.0,
    6: 1.6,
    7: 1.4,
    8: 0.4,
}  # of a render, by group


class Nets(nn.Module):
    """The denoiser and the text encoder that is trained with it."""

    def __init__(self, vectors: torch.Tensor) -> None:
        super().__init__()
        from diffusers import PRXTransformer2DModel
        from transformers import BertConfig, BertModel

        self.transformer = PRXTransformer2DModel(**TRANSFORMER)
        config = BertConfig(
            vocab_size=len(vectors), hidden_size=words.VECTOR_WIDTH, num_hidden_layers=2, num_attention_heads=2,
            intermediate_size=4 * words.VECTOR_WIDTH, max_position_embeddings=words.MAX_TOKEN_COUNT, type_vocab_size=1,
            hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
        )  # fmt: skip
        self.text = BertModel(config, add_pooling_layer=False)
        table = self.text.embeddings.word_embeddings.weight
        table.data.copy_(vectors)
        table.requires_grad_(False)

    def forward(self, noisy: torch.Tensor, t: torch.Tensor, ids: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        context = self.text(input_ids=ids, attention_mask=seen).last_hidden_state
        return self.transformer(noisy, t, context, seen.bool()).sample


class BatchSampler:
    """Makes the batch of each step: premultiplied pixels and token ids."""

    def __init__(self, work: Path, tokenizer, late: int) -> None:
        """From the step `late` on, things are sampled more often."""
        from PIL import Image

        self.late = late

        renders, self.rows = data.load_dataset(work)
        small = work / f"small-{SIDE_PX}.npy"
        if not small.exists():
            np.save(small, np.stack([_shrink_render(Image.fromarray(picture)) for picture in renders]))
        self.pixels = torch.from_numpy(np.load(small))
        self.tokenizer = tokenizer
        self.weight = torch.tensor([0.0 if row.held_out else _sampling_weight(row) for row in self.rows])
        self.things = torch.tensor(
            [1.0 if row.group in (0, data.PEOPLE_GROUP) else LATE_THINGS_WEIGHT for row in self.rows]
        )

    def __call__(self, step: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return pixels (B, 4, S, S), token ids (B, T) and mask (B, T)."""
        dice, chance = random.Random(step), torch.Generator().manual_seed(step)
        weight = self.weight * self.things if step >= self.late else self.weight
        picks = torch.multinomial(weight, BATCH_SIZE, replacement=True, generator=chance).tolist()
        texts = ["" if dice.random() < PROMPT_DROPOUT_RATIO else data.make_caption(self.rows[n], dice) for n in picks]
        pixels = self.pixels[picks].float() / 127.5 - 1
        for n, pick in enumerate(picks):
            if self.rows[pick].turns and dice.random() < 0.5:
                pixels[n] = pixels[n].flip(-1)
        ids, seen = tokenize_texts(self.tokenizer, texts)
        return pixels, ids, seen


def tokenize_texts(tokenizer, texts: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return token ids and mask of texts, each len(texts) x MAX_TOKEN_COUNT."""
    out = tokenizer(texts, padding="max_length", truncation=True, max_length=words.MAX_TOKEN_COUNT, return_tensors="pt")
    return out["input_ids"], out["attention_mask"]


def _shrink_render(picture) -> np.ndarray:
    """Shrink a 256 px RGBA picture to 4 x 64 x 64, uint8; colour is premultiplied about grey, so 127.5 is nothing."""
    full = np.asarray(picture, np.float32) / 255
    flat = np.dstack([(full[..., :3] * 2 - 1) * full[..., 3:], full[..., 3] * 2 - 1])
    k = full.shape[0] // SIDE_PX
    pooled = flat.reshape(SIDE_PX, k, SIDE_PX, k, 4).mean((1, 3))
    return np.clip((pooled + 1) * 127.5 + 0.5, 0, 255).astype(np.uint8).transpose(2, 0, 1)


def _sampling_weight(row: data.RenderRow) -> float:
    """Return the sampling weight of a render; plain yellow people, clocks, symbols and couples are sampled less."""
    if row.group == data.PEOPLE_GROUP:
        plain = not row.tone
        return 0.35 if plain and row.gender else 0.5 if plain else 1.6 if row.role in data.ROLES else 1.0
    return 0.3 if "-thirty" in row.label or "o’clock" in row.label else GROUP_WEIGHTS[row.group]


def sample_noise_times(count: int, chance: torch.Generator) -> torch.Tensor:
    """Sample noise times between 0 and 1, the middle more often than the ends."""
    return torch.sigmoid(0.9 * torch.randn(count, generator=chance) + 0.6)


def compute_loss(nets: nn.Module, batch: tuple[torch.Tensor, ...], step: int, device: str) -> torch.Tensor:
    pixels, ids, seen = (part.to(device) for part in batch)
    chance = torch.Generator().manual_seed(step + 1_000_003)
    t = sample_noise_times(len(pixels), chance).to(device)
    noise = torch.randn(pixels.shape, generator=chance).to(device)
    at = t[:, None, None, None]
    with torch.autocast(device, dtype=torch.bfloat16, enabled=is_bfloat16_faster(device)):
        clean = nets((1 - at) * pixels + at * noise, t, ids, seen)
    error = (clean.float() - pixels).square().mean((1, 2, 3))
    return (error / t.clamp(min=MIN_LOSS_TIME).square()).mean()


@cache
def is_bfloat16_faster(device: str) -> bool:
    """Tell whether bfloat16 is faster: without hardware support it takes half as long again as float32."""
    cpu_info = Path("/proc/cpuinfo")
    return device != "cpu" or (
        cpu_info.exists() and any(unit in cpu_info.read_text() for unit in ("amx_bf16", "avx512_bf16"))
    )


def make_optimizers(nets: Nets) -> list[torch.optim.Optimizer]:
    blocks = nets.transformer.blocks.named_parameters()
    inner = [p for n, p in blocks if p.ndim == 2 and "modulation" not in n]
    inside = {id(p) for p in inner}
    rest = [p for p in nets.parameters() if p.requires_grad and id(p) not in inside]
    return [
        torch.optim.Muon(inner, lr=LEARNING_RATE, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, lr=LEARNING_RATE / 2, betas=(0.9, 0.99), weight_decay=0.0, fused=True),
    ]


def learning_rate_ratio(step: int, last: int, finish: bool) -> float:
    """Return the share of the learning rate: warm-up, constant, and a decay over the last 30 % of a finishing run."""
    down = min(1.0, (last - step) / (0.3 * last)) if finish else 1.0
    return min(1.0, (step + 1) / WARMUP_STEP_COUNT) * down


def build_nets(work: Path) -> tuple[Nets, object]:
    """Make new nets and the tokenizer; download what is missing."""
    from transformers import AutoTokenizer

    torch.manual_seed(0)
    if not (work / "rows.json").exists():
        data.write_dataset(work)
    if not (work / "vectors.pt").exists():
        _, kept = words.make_tokenizer(
            words.fetch_minilm(work), work / "tokenizer", data.list_known_words(data.load_dataset(work)[1])
        )
        torch.save(words.make_vectors(words.fetch_minilm(work), kept), work / "vectors.pt")
    return Nets(torch.load(work / "vectors.pt")), AutoTokenizer.from_pretrained(work / "tokenizer")


def load_shipped_weights(nets: Nets) -> None:
    """Load the shipped weights beside this file, to continue from them with new optimizers."""
    from safetensors.torch import load_file

    here = Path(__file__).parent
    nets.transformer.load_state_dict(load_file(here / "transformer" / "diffusion_pytorch_model.safetensors"))
    text = load_file(here / "text_encoder" / "model.safetensors")
    nets.text.load_state_dict({name: tensor for name, tensor in text.items() if not name.startswith("pooler.")})


def train(work: Path, samples: int, finish: bool, device: str, minutes: float, compiled: bool, warm: int) -> Nets:
    """Train on `samples` pictures, or for `minutes`; return the averaged nets.

    `warm`: pictures that the shipped weights were trained on; the run continues from them. 0: from new nets.
    """
    nets, tokenizer = build_nets(work)
    if warm:
        load_shipped_weights(nets)
    nets.to(device)
    mean = Nets(torch.load(work / "vectors.pt")).to(device)
    mean.load_state_dict(nets.state_dict())
    step, last, steppers = 0, samples // BATCH_SIZE, make_optimizers(nets)
    # The shipped weights have had the first phase already.
    batches = BatchSampler(work, tokenizer, 0 if warm else round(LATE_PHASE_RATIO * last))
    if (work / "state.pt").exists():
        state = torch.load(work / "state.pt", map_location=device)
        step = state["step"]
        nets.load_state_dict(state["nets"])
        mean.load_state_dict(state["mean"])
        for stepper, kept in zip(steppers, state["steppers"], strict=True):
            stepper.load_state_dict(kept)
    model = torch.compile(nets) if compiled else nets
    ahead = warm // BATCH_SIZE
    since, saved, losses = time.monotonic(), time.monotonic(), []
    while step < last and time.monotonic() - since < minutes * 60:
        for stepper, base in zip(steppers, (LEARNING_RATE, LEARNING_RATE / 2), strict=True):
            for group in stepper.param_groups:
                group["lr"] = base * learning_rate_ratio(step, last, finish)
        loss = compute_loss(model, batches(ahead + step), ahead + step, device)
        loss.backward()
        nn.utils.clip_grad_norm_(nets.parameters(), 1.0)
        for stepper in steppers:
            stepper.step()
            stepper.zero_grad(set_to_none=True)
        keep = min(AVERAGING_RATIO, (1 + step) / (10 + step))
        with torch.no_grad():
            pairs = [(m, n) for m, n in zip(mean.parameters(), nets.parameters(), strict=True) if n.requires_grad]
            torch._foreach_lerp_([m for m, _ in pairs], [n for _, n in pairs], 1 - keep)
        step += 1
        losses.append(loss.item())
        if step % 50 == 0:
            speed = len(losses) * BATCH_SIZE / (time.monotonic() - since)
            print(f"{step * BATCH_SIZE} samples, loss {np.mean(losses[-200:]):.4f}, {speed:.0f} samples/s", flush=True)
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
