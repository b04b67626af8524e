"""Hostile inputs: makers (`hostile`, `sealed`), decoding (`trials`), commands (`worker`)."""
