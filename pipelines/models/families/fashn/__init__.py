"""FASHN VTON: dresses the person of a photo in the garment of another one."""
