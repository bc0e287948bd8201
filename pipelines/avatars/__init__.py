"""Avatars composed of parts: random traits, art packs, outfits of roles, SVG rendering, character sheets."""
