"""Figures of a model itself: its latent space, and single posteriors. They load torch."""
