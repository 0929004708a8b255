"""Imports go one way: every module of jensen sits in a layer, and imports only from its own group and from below."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "jensen"

LAYERS: list[list[set[str]]] = [
    [{"_version", "arguments", "errors", "quantity", "notebook", "lock", "disk", "printable"}],
    [{"space", "binarisation", "functional", "nn", "sampling", "views"}],
    [{"heads", "transforms", "posteriors", "priors"}, {"costs"}, {"critics"}],
    [
        {
            "codec",
            "mixed",
            "support",
            "context",
            "data",
            "density",
            "model",
            "objective",
            "autoregressive",
            "flow",
        }
        | {"latent", "diagnosis", "annealing", "mixing", "dequantising", "generator", "adversary"}
    ],
    [{"models"}, {"objectives"}],
    [{"scoring", "weighing", "store", "allowance"}],
    [
        {
            "train",
            "engine",
            "engines",
            "together",
            "sharded",
            "parts",
            "state",
            "average",
            "checkpoint",
            "feed",
            "interrupt",
            "plan",
            "player",
            "optimiser",
        },
        {"metrics"},
        {"checks"},
    ],
    [
        {"fitted", "fitting", "sources", "normaliser", "conditioning", "card", "completing", "imputing"}
        | {
            "freshness",
            "sampled",
            "refining",
            "resampling",
            "as_distribution",
            "surprise",
            "foresight",
            "run_folder",
        },
        {"diverging", "discrepancy", "shifts", "sides"},
    ],
    [
        {"comparison", "entry", "lineup", "auditing", "bracketing", "links", "adapt", "course", "probing"}
        | {"lens", "lensing", "fidelity", "sklearn", "insight", "rebuilding", "separation", "repeating"}
    ],
    [{"report", "cli", "__main__"}],
]
"""From the bottom up. A module imports from lower layers and from its own group; groups of one layer stay apart."""

UPWARD = {("quantity", "functional.intervals"), ("comparison", "report"), ("discrepancy", "report")}
"""The imports that may go up, to a module and what is inside it: a mean carries its interval, and intervals need
nothing but numbers; a comparison and a divergence hand their records to the report, which must not import them back."""

NARROW = {"functional": {"arguments", "errors", "functional"}}
"""What may import less than its layer allows: the mathematics knows tensors only."""

TYPED = {"functional.divergence", "functional.divergence_terms", "functional.evidence", "functional.ratio"}
"""Where the mathematics prints: what a divergence or a log Z claims depends on whose samples it came from, which only
the formula knows, so these return a Quantity. The rest of functional stays with tensors, and quantity needs none of it
but intervals."""

NEVER_REACH = {"checks": "models", "metrics": "models", "critics": "models"}
"""Any torch module can be audited and measured without our models, through whatever is imported on the way."""

LEAF_PACKAGES = {
    "models",
    "objectives",
    "heads",
    "checks",
    "metrics",
    "transforms",
    "posteriors",
    "priors",
    "critics",
    "costs",
    "course",
}
"""One idea a file: no leaf of these is imported by another. What two share goes down to nn/ or functional/, and their
`__init__` or catalogue names them as strings."""

GROUND = {
    "checks": {
        *(
            "around",
            "labels",
            "tables",
            "base_mass",
            "densities",
            "fixed",
            "goodness",
            "maps",
            "quadrature",
            "sites",
            "subject",
            "twin",
        ),
        *("verdict", "weighed"),
    },
    "course": {
        "bijections",
        "claim",
        "deciding",
        "figures",
        "game",
        "known_latents",
        "photographed",
        "two_laws",
    },
    "critics": {"contest", "dense", "judgement", "logistic", "nets", "platt", "telescope"},
    "metrics": {"features", "table"},
}
"""Files of a leaf package that are no leaves: what its leaves stand on. They import no leaf either."""

FACADE_USERS = {"course", "cli", "__main__"}
"""Who may import the public names of `jensen` itself, which lead everywhere."""


@dataclass(frozen=True)
class Import:
    """One import: dotted names without the leading `jensen.`; the package itself is the empty name."""

    source: str
    target: str
    line: int

    def __str__(self) -> str:
        return f"{self.source or '__init__'}:{self.line} imports {self.target or 'jensen'}"


def modules(root: Path) -> dict[str, Path]:
    """Every module below `root`: dotted name -> file."""
    found = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(root: Path) -> list[Import]:
    """Every import of jensen by jensen, wherever it is written; the lazy `jensen/__init__.py` may import anything."""
    known = modules(root)
    found = (
        Import(source, target, line)
        for source, path in known.items()
        if source
        for line, target in _targets(source, path, known)
    )
    return list(dict.fromkeys(found))


def _targets(source: str, path: Path, known: dict[str, Path]) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "jensen":
                    yield node.lineno, alias.name.partition(".")[2]
        elif isinstance(node, ast.ImportFrom):
            package = _package_named(node, source, path)
            if package is not None:
                for alias in node.names:
                    inner = f"{package}.{alias.name}".lstrip(".")
                    yield node.lineno, inner if inner in known else package
        elif isinstance(node, ast.Call) and (name := _literal_module(node)) is not None:
            yield node.lineno, name.partition(".")[2]


def _package_named(node: ast.ImportFrom, source: str, path: Path) -> str | None:
    """The module after `from`, without the leading `jensen.`; None for somebody else's."""
    if node.level == 0:
        head, _, rest = (node.module or "").partition(".")
        return rest if head == "jensen" else None
    here = source.split(".") if path.name == "__init__.py" else source.split(".")[:-1]
    above = here[: len(here) - (node.level - 1)]
    return ".".join([*above, *([node.module] if node.module else [])])


def _literal_module(call: ast.Call) -> str | None:
    """The module that `import_module("jensen. ...")` or `__import__("jensen. ...")` names."""
    function = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if function not in ("import_module", "__import__") or not call.args:
        return None
    name = getattr(call.args[0], "value", None)
    return name if isinstance(name, str) and name.split(".")[0] == "jensen" else None


def top(name: str) -> str:
    return name.split(".")[0]


def group_of(name: str) -> tuple[int, int] | None:
    """Layer and group of a module; None where it has not been placed."""
    for level, groups in enumerate(LAYERS):
        for number, group in enumerate(groups):
            if top(name) in group:
                return level, number
    return None


def unplaced(root: Path) -> set[str]:
    """Top-level modules, present or imported, that are in no layer."""
    names = {*modules(root), *(found.target for found in imports(root))} - {""}
    return {top(name) for name in names if group_of(name) is None}


def goes_up(found: Import) -> bool:
    """Whether an import leaves its group for one that is not below."""
    source, target = top(found.source), top(found.target)
    if found.target == "":
        return source not in FACADE_USERS
    if any(found.source == one and f"{found.target}.".startswith(f"{other}.") for one, other in UPWARD):
        return False
    if found.source in TYPED and target == "quantity":
        return False
    if source in NARROW and target not in NARROW[source]:
        return True
    mine, theirs = group_of(source), group_of(target)
    return mine is not None and theirs is not None and mine != theirs and theirs[0] >= mine[0]


def between_leaves(found: Import) -> bool:
    """Whether a file of a leaf package imports a leaf of it other than itself."""
    package = top(found.source)
    if package not in LEAF_PACKAGES or top(found.target) != package:
        return False
    leaf, other = found.source.split(".")[1:2], found.target.split(".")[1:2]
    return other not in ([], leaf) and other[0] not in GROUND.get(package, ())


def reachable(root: Path, start: str) -> set[str]:
    """The top-level modules that importing `start` and what is inside it leads to, directly or through others."""
    edges: dict[str, set[str]] = {}
    for found in imports(root):
        edges.setdefault(found.source, set()).add(found.target)
    seen, todo = set(), [name for name in modules(root) if f"{name}.".startswith(f"{start}.")]
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo.extend(edges.get(name, ()))
    return {top(name) for name in seen}


# ---------------------------------------------------------------------------------------------------------------


def test_every_top_level_module_has_a_layer() -> None:
    missing = unplaced(SOURCE)
    assert not missing, (
        f"place {', '.join(sorted(missing))} in a layer of LAYERS, as low as what it imports allows"
    )


def test_imports_go_down() -> None:
    wrong = [str(found) for found in imports(SOURCE) if goes_up(found)]
    assert not wrong, "move what is shared down a layer:\n" + "\n".join(wrong)


def test_no_leaf_imports_a_leaf_beside_it() -> None:
    wrong = [str(found) for found in imports(SOURCE) if between_leaves(found)]
    assert not wrong, "what two leaves share goes down; a catalogue names them as strings:\n" + "\n".join(
        wrong
    )


@pytest.mark.parametrize("package, forbidden", NEVER_REACH.items())
def test_checks_and_metrics_never_lead_to_our_models(package: str, forbidden: str) -> None:
    assert forbidden not in reachable(SOURCE, package)


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph: dict[str, set[str]] = {name: set() for name in modules(SOURCE) if name}
    for found in imports(SOURCE):
        if found.target not in ("", found.source):
            graph[found.source].add(found.target)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as circle:
        pytest.fail("imports in a circle: " + " <- ".join(circle.args[1]))


@pytest.mark.parametrize("below, above", sorted(UPWARD))
def test_what_may_be_imported_upward_does_not_lead_back(below: str, above: str) -> None:
    assert below not in reachable(SOURCE, above)


def test_no_module_is_placed_twice() -> None:
    names = [name for groups in LAYERS for group in groups for name in group]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("module", ["jensen", "jensen.errors", "jensen.quantity"])
def test_importing_names_errors_and_numbers_does_not_import_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, f"{module} imports torch, or fails:\n{done.stderr}"


# ---------------------------------------------------------------------------------------------------------------
# The walk itself, on trees that break the rules
# ---------------------------------------------------------------------------------------------------------------


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


@pytest.mark.parametrize(
    "statement",
    [
        "import jensen.train",
        "import jensen.train as loop",
        "from jensen import train",
        "from jensen.train import fit",
        "from .. import train",
        "from ..train import fit",
        "def late():\n    from jensen.train import fit",
        "class Late:\n    def late(self):\n        import os, jensen.train",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ..train import fit",
        "import importlib\nimportlib.import_module('jensen.train')",
    ],
)
def test_an_import_that_goes_up_is_seen_however_it_is_written(tmp_path: Path, statement: str) -> None:
    root = tree(tmp_path, {"__init__.py": "", "train.py": "", "nn/__init__.py": "", "nn/mlp.py": statement})
    found = [one for one in imports(root) if one.target]
    assert [(one.source, one.target) for one in found] == [("nn.mlp", "train")]
    assert goes_up(found[0])


def test_relative_imports_are_counted_from_the_package_in_an_init_and_from_beside_in_a_module(
    tmp_path: Path,
) -> None:
    files = {
        "models/__init__.py": "from . import made",
        "models/made.py": "from . import flow",
        "models/flow.py": "",
    }
    found = imports(tree(tmp_path, files))
    assert {(one.source, one.target) for one in found} == {
        ("models", "models.made"),
        ("models.made", "models.flow"),
    }
    assert all(between_leaves(one) for one in found)


@pytest.mark.parametrize(
    "source, target, wrong",
    [
        ("quantity", "functional.intervals", False),
        ("quantity", "functional.masks", True),
        ("quantity", "errors", False),
        ("space", "quantity", False),
        ("errors", "space", True),
        ("functional.divergence", "space", True),
        ("functional.divergence", "functional.ratio", False),
        ("functional.divergence", "quantity", False),
        ("functional.masks", "quantity", True),
        ("quantity", "functional.divergence", True),
        ("nn.masked", "functional.masks", False),
        ("models.made", "heads", False),
        ("heads", "models.made", True),
        ("models.made", "objectives.likelihood", True),
        ("objectives.likelihood", "models.made", True),
        ("objective", "model", False),
        ("metrics.bits", "checks.no_leak", True),
        ("checks.no_leak", "train", True),
        ("train", "engine", False),
        ("fitted", "models", False),
        ("fitted", "comparison", True),
        ("comparison", "report.tables", False),
        ("comparison", "cli", True),
        ("auditing", "report", True),
        ("cli", "report", False),
        ("cli", "", False),
        ("fitted", "", True),
    ],
)
def test_the_layers_allow_what_lies_below_and_refuse_the_rest(source: str, target: str, wrong: bool) -> None:
    assert goes_up(Import(source, target, 1)) is wrong


def test_a_leaf_may_import_its_package_and_itself_but_not_its_neighbour() -> None:
    assert not between_leaves(Import("checks.no_leak", "checks", 1))
    assert not between_leaves(Import("checks.no_leak", "functional.taint", 1))
    assert not between_leaves(Import("report.page", "report.svg", 1))
    assert between_leaves(Import("checks.no_leak", "checks.mass_sums", 1))


def test_the_ground_of_a_leaf_package_is_open_to_its_leaves_and_stands_on_none() -> None:
    assert not between_leaves(Import("checks.no_leak", "checks.verdict", 1))
    assert not between_leaves(Import("checks.twin", "checks.subject", 1))
    assert between_leaves(Import("checks.verdict", "checks.no_leak", 1))
    assert between_leaves(Import("checks", "checks.no_leak", 1))


def test_a_module_without_a_layer_is_named_whether_it_exists_or_is_only_imported(tmp_path: Path) -> None:
    root = tree(
        tmp_path, {"errors.py": "", "diffusion.py": "", "space.py": "from jensen.lattices.cubic import Cell"}
    )
    assert unplaced(root) == {"diffusion", "lattices"}


def test_models_are_found_behind_a_detour(tmp_path: Path) -> None:
    files = {
        "checks/leak.py": "import jensen.store",
        "store.py": "from jensen.models import made",
        "models/made.py": "",
    }
    assert "models" in reachable(tree(tmp_path, files), "checks")
