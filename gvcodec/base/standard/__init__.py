"""Bases that are standard bitstreams, AV1, H.265 and H.266: `codec` holds encoder and decoder."""
