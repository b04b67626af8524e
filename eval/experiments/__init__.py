"""Measurements that chose a setting: each is a script whose rows lie in `docs/data`."""
