"""Hook of MkDocs: one reference page a module, made from docstrings without importing anything."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
ROOMS = ("core", "instruments", "acquisition", "postprocess", "protocols", "control", "cli", "mocks")


def on_files(files: Any, config: Any) -> Any:
    """Add the generated pages to those of the docs folder."""
    from mkdocs.structure.files import File

    for name, text in pages():
        files.append(File.generated(config, f"reference/api/{name}.md", content=text))
    return files


def pages() -> Iterator[tuple[str, str]]:
    """Yield the page `index` and then name and Markdown of the page of every module."""
    modules = {module_name(path): ast.parse(path.read_text()) for path in sources() if public(path)}
    rows = [f"| [{name}]({name}.md) | {first_line(tree)} |" for name, tree in modules.items()]
    yield "index", "\n".join(["# Every public name", "", "| module | what it is |", "|---|---|", *rows, ""])
    for name, tree in modules.items():
        yield name, page(name, tree)


def sources() -> Iterator[Path]:
    """Yield every module of the rooms, and the pytest plugin."""
    for room in ROOMS:
        yield from sorted((ROOT / room).rglob("*.py"))
    yield ROOT / "testing.py"


def public(path: Path) -> bool:
    """Return whether a module is meant for others: no part of its name starts with one underscore."""
    return not any(part.startswith("_") and part != "__init__.py" for part in path.relative_to(ROOT).parts)


def module_name(path: Path) -> str:
    """Return the name under which a module is imported."""
    return ".".join(("heliograph", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")


def first_line(node: Any) -> str:
    """Return the first line of a docstring."""
    return (ast.get_docstring(node) or "").split("\n", 1)[0]


def page(name: str, tree: ast.Module) -> str:
    """Return the Markdown of one module."""
    parts = [f"# {name}", "", *quoted(tree)]
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            parts += [f"## {node.name}", "", "```python", heading(node), "```", "", *quoted(node)]
            if isinstance(node, ast.ClassDef):
                parts += list(members(node))
    return "\n".join(parts)


def members(node: ast.ClassDef) -> Iterator[str]:
    """Yield the lines about the public methods of a class."""
    for item in node.body:
        if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef) and not item.name.startswith("_"):
            yield from ("```python", heading(item), "```", "", *quoted(item))


def heading(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """Return the line that introduces a class or function."""
    if isinstance(node, ast.ClassDef):
        bases = ", ".join(ast.unparse(base) for base in node.bases)
        return f"class {node.name}({bases})" if bases else f"class {node.name}"
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"{'async ' if isinstance(node, ast.AsyncFunctionDef) else ''}def {node.name}({ast.unparse(node.args)}){returns}"


def quoted(node: Any) -> list[str]:
    """Return a docstring as it stands, since its line breaks mean something."""
    text = ast.get_docstring(node)
    return ["```text", text, "```", ""] if text else []
