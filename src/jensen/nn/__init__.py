"""Layers without probabilistic meaning."""
