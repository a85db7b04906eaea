"""How other libraries meet .inr files: Pillow, imageio, numcodecs, and programs that never import this package."""
