"""The catalogues of the built-in scenes."""
