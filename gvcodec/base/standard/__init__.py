"""Bases that are standard bitstreams, AV1 and H.266: `codec` holds encoder and decoder."""
