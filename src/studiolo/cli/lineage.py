"""``studiolo lineage``: what a model comes from, as a tree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from studiolo.cli.output import JsonFlag, for_terminal, print_json

if TYPE_CHECKING:
    from rich.tree import Tree

    from studiolo.bundle.lineage import Ancestry


def lineage(
    name: Annotated[str, typer.Argument(help="The name or path of a model, or of an adapter.")],
    json: JsonFlag = False,
) -> None:
    """Show what a model was made from."""
    from studiolo.bundle.adapter import adapter_bundles
    from studiolo.bundle.lineage import ancestry
    from studiolo.bundle.store import find, installed
    from studiolo.errors import UnknownModelError

    bundle = find(name)
    if bundle is None:
        raise UnknownModelError(name, [each.name for each in installed()])
    known = {each.digest: each.manifest for each in (*installed(), *adapter_bundles())}
    found = ancestry(bundle.manifest, known)
    if json:
        print_json(found.values())
        return
    from rich.console import Console

    Console(highlight=False).print(drawn(found))


def drawn(found: Ancestry, into: Tree | None = None) -> Tree:
    """A branch for each model, its data and its recipe on leaves."""
    from rich.text import Text
    from rich.tree import Tree

    known = found.manifest
    if known is None:
        label = Text.assemble((found.name, "bold"), "  not here")
    else:
        facts = f"  {for_terminal(known.family)}, {for_terminal(known.licence)}"
        label = Text.assemble(
            (for_terminal(known.name), "bold"), facts, (f"  {found.digest[:12]}", "dim")
        )
    branch = Tree(label) if into is None else into.add(label)
    if known is not None:
        for digest in known.lineage.data:
            branch.add(Text(f"data {digest[:12]}", style="dim"))
        if known.lineage.recipe:
            branch.add(Text(f"recipe {known.lineage.recipe[:12]}", style="dim"))
        if not (found.parents or known.lineage.data):
            branch.add(Text(f"fetched ready-made: {for_terminal(known.source.where)}", style="dim"))
    for parent in found.parents:
        drawn(parent, branch)
    return branch
