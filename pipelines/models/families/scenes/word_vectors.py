"""The meaning of English words: the word vectors of the text encoder that ships with the small model."""

from __future__ import annotations

import json
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from pipelines.models.bundled_weights import MODELS_FOLDER

_VECTORS_FILE = MODELS_FOLDER / "mini" / "text_encoder" / "model.safetensors"
_TOKENS_FILE = MODELS_FOLDER / "mini" / "tokenizer" / "tokenizer.json"


@lru_cache(maxsize=1)
def _read_table() -> tuple[dict[str, int], npt.NDArray[np.float16]]:
    """Token ids and unit vectors, tokens x 128 float16, 5 MB."""
    from safetensors import safe_open

    ids: dict[str, int] = json.loads(_TOKENS_FILE.read_text(encoding="utf-8"))["model"]["vocab"]
    with safe_open(_VECTORS_FILE, "numpy") as file:
        table = file.get_tensor("embeddings.word_embeddings.weight").astype(np.float32)
    table /= np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-6)
    return ids, table.astype(np.float16)


def word_similarity(word: str, others: tuple[str, ...]) -> float:
    """Cosine between `word` and the nearest of `others`, -1 to 1; 0 for a word that the encoder does not know whole."""
    ids, table = _read_table()
    known = [ids[other] for other in others if other in ids]
    if word not in ids or not known:
        return 0.0
    return float((table[known].astype(np.float32) @ table[ids[word]].astype(np.float32)).max())
