"""How the built-in scenes are drawn, one concern a file; `backdrops.py` puts them together."""
