"""Export of the small model: writes the trained nets as a checkpoint in half precision.

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
WEIGHT_FILES = (
    "transformer/diffusion_pytorch_model.safetensors",
    "text_encoder/model.safetensors",
    "sharpener.safetensors",
)


def export_checkpoint(work: Path, out: Path) -> None:
    """Write the averaged weights of WORK/state.pt and, where it exists, the net of WORK/sharpen.pt to `out`."""
    from diffusers import FlowMatchEulerDiscreteScheduler, PRXPixelPipeline
    from safetensors.torch import save_file

    nets, tokenizer = train.build_nets(work)
    nets.load_state_dict(torch.load(work / "state.pt", map_location="cpu")["mean"])
    nets.half()
    text = _with_zero_pooler(nets.text)
    PRXPixelPipeline(
        nets.transformer, FlowMatchEulerDiscreteScheduler(), text, tokenizer,
        default_sample_size=train.SIDE_PX, prompt_max_tokens=words.MAX_TOKEN_COUNT, noise_scale=1.0,
    ).save_pretrained(out)  # fmt: skip
    if (work / "sharpen.pt").exists():
        sharpener = torch.load(work / "sharpen.pt", map_location="cpu")["net"]
        halves = {name.removeprefix("net."): tensor.half().contiguous() for name, tensor in sharpener.items()}
        save_file(halves, out / "sharpener.safetensors")
    (out / "words.json").write_text(
        json.dumps(data.list_known_words(data.load_dataset(work)[1]), separators=(",", ":")) + "\n"
    )
    for name in WEIGHT_FILES:
        (out / name).chmod(0o644)
        print(f"mini/{name} {hashlib.sha256((out / name).read_bytes()).hexdigest()}")


def _with_zero_pooler(text):
    """Add a pooler of zeros, which nothing reads: without one transformers would initialise it at every load."""
    from transformers import BertModel

    whole = BertModel(text.config).half()
    for part in whole.pooler.parameters():
        part.data.zero_()
    whole.load_state_dict(text.state_dict(), strict=False)
    return whole


if __name__ == "__main__":
    export_checkpoint(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else HERE)
