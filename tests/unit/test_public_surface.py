"""The names that tools and users rely on are there from `import jensen` alone, in a fresh process."""

from __future__ import annotations

import subprocess
import sys

import pytest


def run(code: str) -> str:
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert out.returncode == 0, out.stderr
    return out.stdout


@pytest.mark.parametrize(
    "first", ["fit", "compare", "audit", "divergence", "load", "rows", "receptive_field"]
)
def test_functions_stay_functions_whichever_is_used_first(first: str) -> None:
    # a module of the same name, imported behind the scenes, would take the function's place
    code = f"import jensen; jensen.{first}; import jensen.comparison, jensen.fitting, jensen.auditing, jensen.diverging\n"
    code += "assert all(callable(getattr(jensen, n)) for n in ('fit','compare','audit','divergence','load','rows','receptive_field'))"
    run(code)


def test_every_public_name_can_be_had() -> None:
    run("import jensen; [getattr(jensen, name) for name in jensen.__all__]")


def test_the_submodules_of_functional_need_no_import_of_their_own() -> None:
    code = "import jensen; print(jensen.functional.masks.conv_mask('A', 1, 1, 3)[0, 0].int().tolist())"
    assert run(code).strip() == "[[1, 1, 1], [1, 0, 0], [0, 0, 0]]"


def test_an_unknown_name_is_an_attribute_error() -> None:
    import jensen

    with pytest.raises(AttributeError, match="nothing"):
        jensen.nothing  # noqa: B018
    with pytest.raises(AttributeError, match="nothing"):
        jensen.functional.nothing  # noqa: B018
