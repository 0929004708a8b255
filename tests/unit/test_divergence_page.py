"""The page of a divergence: its numbers come back, its calibration is counted right, and no name can break it."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import jensen
from jensen.cli import cli
from jensen.errors import OutputError
from jensen.report import read_record
from jensen.report.plot_critic import calibration


def table(n: int, late: bool, seed: int) -> dict[str, np.ndarray]:
    """A column that moves by itself, two that only change how they go together, one with gaps, one of categories."""
    rng = np.random.default_rng(seed)
    sign = -1 if late else 1
    first = rng.normal(size=n)
    gaps = rng.normal(size=n)
    gaps[rng.random(n) < 0.05] = np.nan
    return {
        "moved": rng.normal(size=n) + 0.7 * late,
        "one": first,
        "two <b>": 0.8 * sign * first + 0.6 * rng.normal(size=n),
        "gaps": gaps,
        "city": rng.choice(["Bern", "</script>"], n),
    }


def write(path: Path, columns: dict[str, np.ndarray]) -> Path:
    lines = [",".join(columns), *(",".join(_cell(v) for v in row) for row in zip(*columns.values()))]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _cell(value: object) -> str:
    return "" if isinstance(value, float) and math.isnan(value) else str(value)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("two")
    return write(folder / "early.csv", table(900, False, 0)), write(folder / "late.csv", table(700, True, 1))


@pytest.fixture(scope="module")
def found(files: tuple[Path, Path]) -> jensen.Divergence:
    return jensen.divergence(*map(str, files), critics=["trees", "mlp"])


def test_the_page_holds_the_numbers_and_every_section(found: jensen.Divergence, tmp_path: Path) -> None:
    path = found.to_html(
        tmp_path / "page.html", titles=("x/early.csv", "x/late.csv"), command="jensen divergence"
    )
    record = read_record(path)
    told = json.loads(json.dumps(found.to_dict()))
    assert {key: record[key] for key in told} == told
    text = path.read_text(encoding="utf-8")
    for part in ("numbers", "critics", "columns", "rows", "run"):
        assert f'<section id="{part}"' in text
    assert text.count("<svg") >= 3 + 5 + 1  # bound, log-odds and calibration; five columns; pairs
    assert "in how it goes with others" in text and "early.csv and late.csv" in text
    for name in ("trees", "mlp"):
        assert re.search(rf'scope="row">{name}( <span class="valid">chosen</span>)?</th>', text)
    with pytest.raises(OutputError, match="exists already"):
        found.to_html(path)


def test_names_of_the_users_cannot_break_the_page(found: jensen.Divergence, tmp_path: Path) -> None:
    text = found.to_html(tmp_path / "page.html", titles=("<i>", "<i>")).read_text(encoding="utf-8")
    assert "<i>" not in text and "two <b>" not in text and "two &lt;b&gt;" in text
    assert text.count("</script>") == 2  # the record's and the page's own
    assert "http://" not in re.sub(r'xmlns(:xlink)?="[^"]*"', "", text) and 'src="http' not in text


def test_images_are_shown_side_by_side_with_a_map(tmp_path: Path) -> None:
    rows = jensen.rows("digits")
    bright = np.asarray(rows.train[:600]).copy()
    bright[:, :, 3, 3] = 16
    found = jensen.divergence(rows.train[:550], bright, critics=["trees"])
    text = found.to_html(tmp_path / "page.html").read_text(encoding="utf-8")
    assert text.count("data:image/png") == 5 and 'id="rows"' not in text
    assert "pixel by pixel" in text and "most unlike the other side" in text


def test_the_same_rows_twice_need_no_critic(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(60, 2))
    text = jensen.divergence(x, x[::-1]).to_html(tmp_path / "page.html").read_text(encoding="utf-8")
    assert "both sides hold the same rows" in text and 'id="critics"' not in text and "Cannot tell" in text


def test_calibration_counts_what_was_so() -> None:
    """Log-odds that are right: N(1, 1) against N(0, 1), l = x - 1/2; at 95 % limits, at most 4 of the 10 groups miss but with 6e-5."""
    rng = np.random.default_rng(0)
    l0, l1 = rng.normal(size=3000) - 0.5, 1 + rng.normal(size=1500) - 0.5
    groups = calibration(l0, l1)
    assert len(groups) == 10 and sum(low <= said <= high for said, _, low, high in groups) >= 7
    over = calibration(3 * l0, 3 * l1)  # three times too sure
    assert sum(low <= said <= high for said, _, low, high in over) <= 5
    assert calibration(np.zeros(30), np.zeros(30)) == [
        (0.5, 0.5, pytest.approx(0.368, abs=0.01), pytest.approx(0.632, abs=0.01))
    ]


def test_the_command_writes_the_page_after_the_numbers_and_never_over_another(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    page = tmp_path / "deep" / "page.html"
    arguments = ["divergence", *map(str, files), "--columns", "moved,one", "--html", str(page)]
    done = CliRunner().invoke(cli, arguments, prog_name="jensen")
    assert done.exit_code == 0, done.output
    assert page.exists() and done.output.rstrip().endswith("page.html")
    assert "divergence" in read_record(page)["command"]
    again = CliRunner().invoke(cli, arguments, prog_name="jensen")
    assert again.exit_code == 2 and "--overwrite" in again.output
