"""Tiled VAE decoding: limits the memory that an autoencoder takes for large pictures."""

from __future__ import annotations

from typing import Any

_TILE_OVERLAP_RATIO = 0.1  # share of a tile's side that overlaps the next tile
_STRIDE_MULTIPLE_PX = 16


def enable_tiled_decoding(vae: Any, tile_px: int) -> Any:
    """Make `vae` decode in overlapping tiles of `tile_px` and return it; a `copy.copy` has its own tile size."""
    vae.enable_tiling()
    if hasattr(vae, "tile_latent_min_size"):
        vae.tile_sample_min_size = tile_px
        vae.tile_latent_min_size = tile_px // _pixels_per_latent(vae)
    else:
        vae.tile_sample_min_height = vae.tile_sample_min_width = tile_px
        # In whole latent pixels, at most 16 pixels wide: else the next tile begins elsewhere than this one ends.
        stride = int(tile_px * (1 - _TILE_OVERLAP_RATIO)) // _STRIDE_MULTIPLE_PX * _STRIDE_MULTIPLE_PX
        vae.tile_sample_stride_height = vae.tile_sample_stride_width = stride
    return vae


def _pixels_per_latent(vae: Any) -> int:
    """Return how many pixels one latent pixel covers along a side."""
    blocks = vae.config.get("block_out_channels") or vae.config.decoder_block_out_channels
    return 2 ** (len(blocks) - 1)
