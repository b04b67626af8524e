"""Helpers that all other packages may import: files, messages, options, progress, PSNR."""
