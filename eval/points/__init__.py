"""Points of rate and quality: code shared by `rd`, which measures them, and `report`.

`bd` compares curves, `profiles` are the conditions of papers.
"""
