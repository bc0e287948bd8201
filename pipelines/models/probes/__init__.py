"""Probes of the hardware at start: which GPUs torch can really compute on, and the fastest type on the processor."""
