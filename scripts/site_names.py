"""An extension of griffe for mkdocs: gives the package `gvcodec` the names of `gvcodec.public`,
which it imports on first use, so that a reader of the source does not see them."""

from __future__ import annotations

from typing import Any

import griffe


class PublicNames(griffe.Extension):
    """Adds an alias for each public name."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        public = pkg.members.get("public") if pkg.path == "gvcodec" else None
        for export in (public.exports or []) if public else []:
            name = str(export)
            if name not in pkg.members:
                pkg.set_member(name, griffe.Alias(name, f"gvcodec.public.{name}", parent=pkg))
