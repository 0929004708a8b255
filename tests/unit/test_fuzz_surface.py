"""Strange arguments at every door of the public surface are taken, or refused with an error of ours; input stays as it was.

JENSEN_FUZZ=N tries N cases a door (`make soak` does), counts them and prints the figures. A failure names its door and
case: `jensen_case("rows", 17)` in a debugger repeats it.
"""

from __future__ import annotations

import os
import traceback
import warnings
from collections import Counter
from typing import Any

import pytest
from fuzzing import mark, ours
from strange_values import Strange
from surface import DOORS
from surface_kit import Kit, make_kit, seed_of

from jensen.errors import JensenError

CASES = int(os.environ.get("JENSEN_FUZZ", "40"))
DEAR = {"compare": 4, "fit_deep": 2, "probe": 2, "compare_options": 2}
"""Doors behind which a case takes tens of milliseconds: so many times fewer cases."""


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("surface")
    here = os.getcwd()
    os.chdir(folder)  # strange paths are relative ones
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = make_kit(folder)
    made.table.save(folder / "run")
    yield made
    os.chdir(here)


def cases(door: str) -> range:
    """A third of them for each command: there are as many doors as verbs, and more."""
    return range(CASES // DEAR.get(door, 3 if door.startswith("jensen ") else 1))


def jensen_case(door: str, case: int, kit: Kit) -> str:
    """One case: "taken" or "refused". Raises AssertionError with its number for anything else."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        inputs, call = DOORS[door](Strange(seed_of(door, case)), kit)
    before, said = [mark(one) for one in inputs], "refused"
    estimator = door.startswith("estimator")
    try:
        with ours(quiet=estimator):  # scikit-learn warns by its own protocol, and raises by it
            try:
                call()
                said = "taken"
            except (ValueError, TypeError) as error:
                last = traceback.extract_tb(error.__traceback__)[-1].filename
                if (
                    isinstance(error, JensenError)
                    or not estimator
                    or "sklearn/utils" not in last.replace("\\", "/")
                ):
                    raise
        assert before == [mark(one) for one in inputs], "an input was changed"
    except BaseException as error:
        raise AssertionError(f"{door}, case {case}: {type(error).__name__}: {error}") from error
    return said


@pytest.mark.parametrize("door", DOORS)
def test_strange_arguments_are_taken_or_refused_and_left_as_they_were(door: str, kit: Kit) -> None:
    said = Counter(jensen_case(door, case, kit) for case in cases(door))
    print(f"{door}: {said['taken']:,} taken, {said['refused']:,} refused")
    assert said["refused"], "a door that refuses nothing is not looked at"
