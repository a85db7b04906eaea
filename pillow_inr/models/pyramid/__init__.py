"""The pyramid: latent grids, their context model and their synthesis (docs/format.md section 9)."""
