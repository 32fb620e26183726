"""HTML that is escaped by construction: only `element` makes markup, everything else is text."""

from __future__ import annotations

import html

#: Elements without content and end.
_VOID = ("br", "img", "meta")


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def element(tag: str, *content: str, **attributes: str | int | float) -> Markup:
    """An element; plain strings in it are escaped, `class_` and `data_x` are class and data-x."""
    names = {name: name.rstrip("_").replace("_", "-") for name in attributes}
    given = "".join(
        f' {names[name]}="{html.escape(str(value))}"' for name, value in attributes.items()
    )
    if tag in _VOID:
        return Markup(f"<{tag}{given}>")
    return Markup(f"<{tag}{given}>{join(*content)}</{tag}>")


def join(*content: str) -> Markup:
    """Pieces one after the other, escaped unless they are markup."""
    return Markup(
        "".join(one if isinstance(one, Markup) else html.escape(one) for one in content)
    )  # fmt: skip
