"""The built-in scenes: their catalogues and how each kind is rendered; `model` puts them together."""
