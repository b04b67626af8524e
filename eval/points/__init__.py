"""What `rd`, which makes points of rate and quality, and `report`, which shows them, share.

`bd` compares curves, `profiles` are the conditions of papers.
"""
