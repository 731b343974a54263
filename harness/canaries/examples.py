"""Makes the examples that a canary is tested on: a release with edits, or a source of ours."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ast_grep_py import SgNode, SgRoot

from harness.canaries.trees import Tree
from harness.errors import CaseError
from harness.records.canaries import Edit, Example, Rule

_META = re.compile(r"\$\$\$([A-Z_][A-Z0-9_]*)|\$([A-Z_][A-Z0-9_]*)")


def make(rule: Rule, package: str, example: Example, release: Tree | None) -> Tree:
    """The tree of an example. Raises CaseError where an edit changes nothing, for then it shows nothing."""
    if example.source:
        return Tree(package, "0", {rule.where: example.source.encode()}, f"example {example.name}", example.name)
    assert release is not None
    for edit in example.edits:
        path = edit.where or rule.where
        if path not in release.files:
            raise CaseError("an edit of no file of the release", where=f"{rule.name}: {example.name}", got=path)
        release = release.with_file(path, _edited(release.text(path), edit, f"{rule.name}: {example.name}"))
    return release


def _edited(text: str, edit: Edit, where: str) -> str:
    root = SgRoot(text, "python").root()
    scopes: Sequence[SgNode] = [root]
    if edit.within:
        scopes = root.find_all(any=[
            {"kind": "function_definition", "has": {"field": "name", "regex": f"^{re.escape(edit.within)}$"}},
            {"kind": "class_definition", "has": {"field": "name", "regex": f"^{re.escape(edit.within)}$"}},
        ])  # fmt: skip
    found = [node for scope in scopes for node in scope.find_all(pattern=edit.find)]
    outermost = [node for node in found if not any(_holds(other, node) for other in found)]
    if not outermost:
        raise CaseError("an edit fits nothing", where=where, got=f"{edit.find} within {edit.within or 'the file'}")
    edited = root.commit_edits([node.replace(_filled(edit.put, node, text)) for node in outermost])
    if edited == root.text():
        raise CaseError("an edit changes nothing", where=where, got=edit.find)
    return edited


def _holds(outer: SgNode, inner: SgNode) -> bool:
    a, b = outer.range(), inner.range()
    return (a.start.index, a.end.index) != (b.start.index, b.end.index) and (
        a.start.index <= b.start.index and b.end.index <= a.end.index
    )


def _filled(put: str, node: SgNode, text: str) -> str:
    def found(match: re.Match[str]) -> str:
        many, one = match.groups()
        if many:
            nodes = node.get_multiple_matches(many)
            return text[nodes[0].range().start.index : nodes[-1].range().end.index] if nodes else ""
        single = node.get_match(one)
        return single.text() if single is not None else match.group()

    return _META.sub(found, put)
