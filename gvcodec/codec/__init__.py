"""Encoder and decoder of whole streams: base layer, painter, container."""
