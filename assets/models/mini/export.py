"""Writes the trained nets as the checkpoint that the studio loads, in half precision; trains nothing.

python -m assets.models.mini.export WORK [OUT]
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import torch

from assets.models.mini import data, train, words

HERE = Path(__file__).parent
WEIGHTS = (
    "transformer/diffusion_pytorch_model.safetensors", "text_encoder/model.safetensors", "sharpener.safetensors",
)  # fmt: skip


def export(work: Path, out: Path) -> None:
    """The averaged weights of WORK/state.pt and, where it was trained there, of WORK/sharpen.pt below `out`."""
    from diffusers import FlowMatchEulerDiscreteScheduler, PRXPixelPipeline
    from safetensors.torch import save_file

    nets, tokenizer = train.build(work)
    nets.load_state_dict(torch.load(work / "state.pt", map_location="cpu")["mean"])
    nets.half()
    text = _pooled(nets.text)
    PRXPixelPipeline(
        nets.transformer, FlowMatchEulerDiscreteScheduler(), text, tokenizer,
        default_sample_size=train.SIDE, prompt_max_tokens=words.TOKENS, noise_scale=1.0,
    ).save_pretrained(out)  # fmt: skip
    if (work / "sharpen.pt").exists():
        sharpener = torch.load(work / "sharpen.pt", map_location="cpu")["net"]
        halves = {name.removeprefix("net."): tensor.half().contiguous() for name, tensor in sharpener.items()}
        save_file(halves, out / "sharpener.safetensors")
    (out / "words.json").write_text(json.dumps(data.known(data.load(work)[1]), separators=(",", ":")) + "\n")
    for name in WEIGHTS:
        (out / name).chmod(0o644)
        print(f"mini/{name} {hashlib.sha256((out / name).read_bytes()).hexdigest()}")


def _pooled(text):
    """The encoder with a pooler of zeros, which nothing reads: transformers would make one up at every load."""
    from transformers import BertModel

    whole = BertModel(text.config).half()
    for part in whole.pooler.parameters():
        part.data.zero_()
    whole.load_state_dict(text.state_dict(), strict=False)
    return whole


if __name__ == "__main__":
    export(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else HERE)
