"""Makes an autoencoder decode in tiles, so that its memory ends growing with the picture; knows no pipeline."""

from __future__ import annotations

from typing import Any

_OVERLAP = 0.1


def tiled(vae: Any, side: int) -> Any:
    """`vae`, which from now on decodes in overlapping tiles of `side` pixels wherever a side is longer.

    A shallow copy (`copy.copy`) keeps the weights and has tiles of its own.
    """
    vae.enable_tiling()
    if hasattr(vae, "tile_latent_min_size"):
        vae.tile_sample_min_size = side
        vae.tile_latent_min_size = side // _scale(vae)
    else:
        vae.tile_sample_min_height = vae.tile_sample_min_width = side
        vae.tile_sample_stride_height = vae.tile_sample_stride_width = round(side * (1 - _OVERLAP))
    return vae


def _scale(vae: Any) -> int:
    """Pixels per latent, along a side."""
    blocks = vae.config.get("block_out_channels") or vae.config.decoder_block_out_channels
    return 2 ** (len(blocks) - 1)
