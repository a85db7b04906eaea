"""How other libraries meet .inr files: Pillow, imageio, numcodecs, Zarr, programs that never import this package."""
