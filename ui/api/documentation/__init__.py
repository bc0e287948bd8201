"""How `/v1` is explained: OpenAPI, copied code, and what agents read."""
