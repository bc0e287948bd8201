"""Makes an autoencoder decode in tiles, so that its memory ends growing with the picture; knows no pipeline."""

from __future__ import annotations

from typing import Any

_TILE_OVERLAP_RATIO = 0.1


def enable_tiled_decoding(vae: Any, tile_px: int) -> Any:
    """`vae`, which from now on decodes in overlapping tiles of `side` pixels wherever a side is longer.

    A shallow copy (`copy.copy`) keeps the weights and has tiles of its own.
    """
    vae.enable_tiling()
    if hasattr(vae, "tile_latent_min_size"):
        vae.tile_sample_min_size = tile_px
        vae.tile_latent_min_size = tile_px // _pixels_per_latent(vae)
    else:
        vae.tile_sample_min_height = vae.tile_sample_min_width = tile_px
        vae.tile_sample_stride_height = vae.tile_sample_stride_width = round(tile_px * (1 - _TILE_OVERLAP_RATIO))
    return vae


def _pixels_per_latent(vae: Any) -> int:
    """Pixels per latent, along a side."""
    blocks = vae.config.get("block_out_channels") or vae.config.decoder_block_out_channels
    return 2 ** (len(blocks) - 1)
