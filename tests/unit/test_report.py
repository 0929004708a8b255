"""The report says what the record says, whole, offline, and to anyone's names."""

from __future__ import annotations

import base64
import copy
import errno
import io
import os
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jensen.errors import DataError, OutputError, SpaceError, UsageError
from jensen.quantity import Kind, Quantity
from jensen.report import Pictures, images, read_record, write_report
from jensen.report.correlations import correlations
from jensen.report.marginals import level_shares, shares_in_bins, shown_levels
from jensen.report.numbers import aligned, show
from jensen.report.page import render
from jensen.report.tables import audit_lines, order_lines, plain_table, terminal_table
from jensen.report.words import summary
from jensen.space import Column, Space

HOSTILE = "<script>alert('x')</script>$a_b$"


def nats(value: float, half: float, kind: Kind = Kind.EXACT) -> Quantity:
    return Quantity(
        value, kind, "nats", "mass", (value - half, value + half), how={"n": 497, "codec": "Integers"}
    )


def model(name: str, score: Quantity | None, **changes: Any) -> dict[str, Any]:
    history = [
        {"step": 50 * n, "seconds": n / 2, "loss": 3.0 / n, "lr": 1e-3, "valid": None}
        | ({"valid": -150.0 + n, "valid_low": -151.0 + n, "valid_high": -149.0 + n} if n % 2 else {})
        for n in range(1, 9)
    ]
    return {
        "name": name,
        "class": "jensen.models.x:X",
        "about": "one line",
        "hyper": {"width": 64},
        "abilities": ["sample", "log_prob"],
        "codec": "Integers",
        "log_likelihood": score and score.to_dict(),
        "bits_per_dim": score and score.bits_per_dim(64).to_dict(),
        "why_not": None,
        "fit_seconds": 21.34,
        "stopped": "early: no better for 10 checks",
        "sample_rate": Quantity(412.7, Kind.ESTIMATE, "rows/s").to_dict(),
        "parameters": 123456,
        "steps": 400,
        "history": history,
        "audit": [{"check": "no_leak", "holds": True, "evidence": "proven over all positions"}],
        **changes,
    }


def pair(better: str, worse: str, answer: str, difference: Quantity) -> dict[str, Any]:
    return {"better": better, "worse": worse, "answer": answer, "difference": difference.to_dict()}


@pytest.fixture
def record() -> dict[str, Any]:
    why = "cannot, because a GAN has no likelihood"
    return {
        "jensen": "0.1.0",
        "title": "digits",
        "data": {
            "name": "digits",
            "hash": "9f3a",
            "space": "1x8x8, 17 levels (0 to 16), mass",
            "measure": "mass",
            "dims": 64,
            "counts": {"train": 1150, "valid": 150, "test": 497},
            "notes": ["17 levels"],
            "split_seed": 0,
        },
        "models": [
            model("independent", nats(-167.5, 1.3), history=[], steps=None),
            model("pixelcnn", nats(-118.4321, 1.2)),
            model("vae", nats(-121.3, 1.2, Kind.LOWER)),
            model("gan", None, why_not=why, sample_rate=None, abilities=[]),
        ],
        "orders": [
            pair("pixelcnn", "independent", "proven", nats(49.07, 0.8)),
            pair("vae", "independent", "proven", nats(46.2, 0.8, Kind.LOWER)),
            pair("pixelcnn", "vae", "undecided", nats(2.87, 0.4, Kind.UPPER)),
        ],
        "order_level": 0.95,
        "orders_note": "all pairs together (Bonferroni), rows like these, these weights",
        "record": {
            "command": "jensen compare digits",
            "seed": 0,
            "started": "2026-11-23T03:14:00Z",
            "seconds": 93.1,
            "threads": 2,
            "device": "cpu",
            "versions": {"python": "3.11.7", "torch": "2.13.0"},
            "processor": "a processor",
        },
    }


def rows(space: Space, n: int = 40, seed: int = 0) -> np.ndarray:
    levels = np.array([max(1, count) for count in space.levels_by_site()]).reshape(space.shape)
    rng = np.random.default_rng(seed)
    real = np.array([count == 0 for count in space.levels_by_site()]).reshape(space.shape)
    drawn = rng.integers(0, levels, (n, *space.shape)).astype(float)
    return np.where(real, rng.normal(size=drawn.shape), drawn)


@pytest.fixture
def pictures() -> Pictures:
    space = Space.levels((1, 8, 8), 17)
    return Pictures(space, rows(space), {"pixelcnn": rows(space, seed=1), "independent": rows(space, 50, 2)})


class Page(HTMLParser):
    """Tags with their attributes, and the text a reader sees."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.hidden = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.hidden = tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self.hidden = False

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


def test_page_fetches_nothing(record: dict[str, Any], pictures: Pictures) -> None:
    page = render(record, pictures)
    for tag, attributes in Page(page).tags:
        assert tag not in ("link", "iframe", "object", "embed", "base")
        for name in ("src", "href", "xlink:href", "srcset", "poster"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/png;base64,"))
    assert "http:" not in page and "https:" not in page and "@import" not in page
    assert not re.search(r"url\((?!#)", page)


def test_page_of_six_models_stays_small(record: dict[str, Any], pictures: Pictures) -> None:
    record["models"] += [model(f"more{n}", nats(-130.0 - n, 1.2)) for n in range(2)]
    assert len(render(record, pictures)) < 600_000


def test_hostile_names_are_text_not_markup(record: dict[str, Any]) -> None:
    columns = (Column("categorical", 2, name=HOSTILE, labels=(HOSTILE, "b")), Column("real", name="数字"))
    space = Space((2,), columns)
    record["title"] = record["data"]["name"] = record["record"]["command"] = HOSTILE
    record["data"]["notes"] = [HOSTILE]
    record["orders"] = [pair(HOSTILE, "independent", "proven", nats(49.07, 0.8))]
    record["models"][1] = model(
        HOSTILE, nats(-118.4, 1.2), about=HOSTILE, stopped=HOSTILE, hyper={HOSTILE: HOSTILE}
    )
    record["models"][3]["why_not"] = HOSTILE
    record["models"][1]["audit"] = [{"check": HOSTILE, "holds": None, "evidence": HOSTILE}]
    page = render(record, Pictures(space, rows(space), {HOSTILE: rows(space, seed=1)}))
    assert "<script>alert" not in page
    scripts = [attributes for tag, attributes in Page(page).tags if tag == "script"]
    assert scripts == [{"type": "application/json", "id": "jensen-record"}, {}]
    assert Page(page).text.count(HOSTILE) > 10


def test_record_comes_back_equal(record: dict[str, Any], pictures: Pictures, tmp_path: Path) -> None:
    record["title"] = "</script><!-- \u2028 & \udc80 数"
    record["models"][1]["hyper"] = {"deep": [1, 2.5, None, {"a": "]]>"}]}
    path = write_report(record, pictures, tmp_path / "report.html")
    assert read_record(path) == record


def test_infinite_numbers_become_null(record: dict[str, Any], pictures: Pictures, tmp_path: Path) -> None:
    record["models"][1]["history"][0]["valid_low"] = float("-inf")
    back = read_record(write_report(record, pictures, tmp_path / "report.html"))
    assert back["models"][1]["history"][0]["valid_low"] is None


def test_a_record_of_other_types_is_refused(
    record: dict[str, Any], pictures: Pictures, tmp_path: Path
) -> None:
    record["models"][1]["hyper"] = {"path": tmp_path}
    with pytest.raises(UsageError, match="JSON types only"):
        write_report(record, pictures, tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


def test_other_files_hold_no_record(tmp_path: Path) -> None:
    (tmp_path / "other.html").write_text("<html></html>")
    with pytest.raises(DataError, match="no record"):
        read_record(tmp_path / "other.html")
    with pytest.raises(DataError, match="cannot be read"):
        read_record(tmp_path / "missing.html")


def test_signs_and_intervals_are_those_of_the_record(record: dict[str, Any], pictures: Pictures) -> None:
    page = Page(render(record, pictures)).text
    for wanted in ("= -118.4 [-119.6, -117.2]", "≥ -121.3 [-122.5, -120.1]", "= -167.5 [-168.8, -166.2]"):
        assert wanted in page
    assert "≤ 2.734 [2.707, 2.761]" in page  # a lower bound of nats is an upper bound of bits
    table = plain_table(record)
    for wanted in ("= -118.4 [-119.6, -117.2]", ">= -121.3 [-122.5, -120.1]", "<= 2.734 [2.707, 2.761]"):
        assert wanted in table


def test_models_are_sorted_and_those_without_a_number_come_last(record: dict[str, Any]) -> None:
    names = [line.split()[0] for line in plain_table(record).splitlines()[2:6]]
    assert names == ["pixelcnn", "vae", "independent", "gan"]


def test_missing_numbers_say_why(record: dict[str, Any], pictures: Pictures) -> None:
    record["models"][0]["log_likelihood"] = record["models"][0]["bits_per_dim"] = None
    record["models"][1] |= {"parameters": None, "fit_seconds": None}
    page = Page(render(record, pictures)).text
    for why in (
        "because a GAN has no likelihood",
        "not scored",
        "cannot sample",
        "not counted",
        "not fitted here",
    ):
        assert why in page
    assert "gan: cannot, because a GAN has no likelihood" in plain_table(record)
    assert "Solved without steps, so without a curve: independent" in page


def test_a_number_that_is_not_finite_is_said_to_be_so(record: dict[str, Any], pictures: Pictures) -> None:
    lost = Quantity(-np.inf, Kind.EXACT, "nats", "mass", (-np.inf, -np.inf)).to_dict()
    record["models"][2]["log_likelihood"] = lost
    assert "= not finite [-inf, inf]" in str(show(lost)).replace(" nats", "")
    assert (
        "Not drawn, for lack of a finite number of the same measure: vae"
        in Page(render(record, pictures)).text
    )


def test_undecided_is_never_printed_as_proven(record: dict[str, Any], pictures: Pictures) -> None:
    lines = order_lines(record)
    assert lines == [
        "pixelcnn > independent by 49.07 nats [48.27, 49.87]",
        "vae > independent by at least 46.20 nats [45.40, 47.00]",
        "undecided: pixelcnn and vae: difference <= 2.87 nats [2.47, 3.27]; "
        "vae has only a lower bound, its truth may be higher",
    ]
    page = Page(render(record, pictures)).text
    assert "pixelcnn > independent" in page and "pixelcnn and vae" in page
    assert "pixelcnn > vae" not in page and "better than independent and vae" not in page


@pytest.mark.parametrize(
    ("answers", "start"),
    [
        (("proven", "proven", "proven"), "pixelcnn is proven better than independent and vae on"),
        (
            ("proven", "undecided", "undecided"),
            "No model is proven best on the held-out rows of digits: pixelcnn and vae are",
        ),
        (("undecided",) * 3, "No order between independent, pixelcnn and vae is proven on"),
    ],
)
def test_summary_claims_what_is_proven(record: dict[str, Any], answers: tuple[str, ...], start: str) -> None:
    for order, answer in zip(record["orders"], answers, strict=True):
        order["answer"] = answer
    assert summary(record).startswith(start)


def test_a_best_model_needs_every_pair(record: dict[str, Any]) -> None:
    proven_twice = copy.deepcopy(record)
    proven_twice["orders"][2] |= {"better": "vae", "worse": "pixelcnn"}
    assert "proven better" not in summary(record) and "proven better" not in summary(proven_twice)


@pytest.mark.parametrize(
    ("kinds", "difference", "reason"),
    [
        ((Kind.EXACT, Kind.EXACT), nats(0.4, 0.6), "the interval contains zero"),
        ((Kind.LOWER, Kind.LOWER), nats(3.2, 0.6, Kind.ESTIMATE), "two lower bounds do not order two models"),
        ((Kind.ESTIMATE, Kind.EXACT), nats(3.2, 0.6, Kind.ESTIMATE), "an estimate proves no order"),
        (
            (Kind.EXACT, Kind.LOWER),
            nats(0.2, 0.6, Kind.UPPER),
            "its truth may be higher, and the interval contains zero",
        ),
    ],
)
def test_undecided_says_why(
    record: dict[str, Any], kinds: tuple[Kind, Kind], difference: Quantity, reason: str
) -> None:
    record["models"] = [model("a", nats(-1.0, 0.1, kinds[0])), model("b", nats(-2.0, 0.1, kinds[1]))]
    record["orders"] = [pair("a", "b", "undecided", difference)]
    assert order_lines(record)[0].endswith(reason)


def test_overwriting_is_refused_unless_asked(
    record: dict[str, Any], pictures: Pictures, tmp_path: Path
) -> None:
    path = tmp_path / "report.html"
    path.write_text("mine")
    with pytest.raises(OutputError) as caught:
        write_report(record, pictures, path)
    assert caught.value.wrong and caught.value.given and caught.value.do
    assert path.read_text() == "mine"
    write_report(record, pictures, path, overwrite=True)
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert [child.name for child in tmp_path.iterdir()] == ["report.html"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_failing_to_write_leaves_nothing(
    record: dict[str, Any], pictures: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OutputError, match=os.strerror(code)):
        write_report(record, pictures, tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root writes into read-only folders")
def test_read_only_folder_is_an_output_error(
    record: dict[str, Any], pictures: Pictures, tmp_path: Path
) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(OutputError, match="cannot be written"):
            write_report(record, pictures, tmp_path / "report.html")
    finally:
        tmp_path.chmod(0o700)


def test_places_that_cannot_hold_a_report_are_named(
    record: dict[str, Any], pictures: Pictures, tmp_path: Path
) -> None:
    with pytest.raises(OutputError, match="is a folder"):
        write_report(record, pictures, tmp_path)
    with pytest.raises(OutputError, match="does not exist"):
        write_report(record, pictures, tmp_path / "no" / "report.html")


def test_pictures_must_fit_the_space_and_the_record(record: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(SpaceError):
        Pictures(Space.real(2), np.zeros((3, 2)), {"a": np.zeros((3, 3))})
    with pytest.raises(UsageError, match="got nobody"):
        write_report(
            record,
            Pictures(Space.real(1), rows(Space.real(1)), {"nobody": rows(Space.real(1))}),
            tmp_path / "r.html",
        )


def png(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))


@pytest.mark.parametrize(
    ("channels", "low", "step"), [(1, 0.0, 1.0), (3, 0.0, 1.0), (1, -1.0, 0.125), (3, 5.0, 3.0)]
)
def test_pixels_of_the_grid_are_the_rows(channels: int, low: float, step: float) -> None:
    space = Space.levels((channels, 4, 5), 17, low, step)
    x = low + step * rows(Space.levels(space.shape, 17), 5)
    sheet = png(images.data_uri(images.tile(images.to_bytes(x, images.scale_of(space, x)), across=3)))
    assert sheet.shape == (4 * 2 + 1, 5 * 3 + 2, channels + 1)
    level = (x - low) / step
    for n in range(5):
        top, left = (n // 3) * 5, (n % 3) * 6
        cell = sheet[top : top + 4, left : left + 5]
        np.testing.assert_array_equal(cell[..., :channels], np.rint(level[n].transpose(1, 2, 0) * 255 / 16))
        assert (cell[..., channels] == 255).all()
    assert (sheet[4, :, channels] == 0).all() and (sheet[:, 5, channels] == 0).all()


def test_real_images_share_the_real_rows_scale() -> None:
    real = np.linspace(-2.0, 2.0, 4000).reshape(-1, 1, 2, 2)
    scale = images.scale_of(Space.real((1, 2, 2)), real)
    assert scale == pytest.approx((-1.96, 1.96), abs=1e-3)
    shown = images.to_bytes(np.array([[[[-9.0, 0.0], [1.96, 9.0]]]]), scale)
    np.testing.assert_array_equal(shown[0, ..., 0], [[0, 128], [255, 255]])


def test_every_grid_shows_as_many_images(record: dict[str, Any], pictures: Pictures) -> None:
    sheets = [attributes for tag, attributes in Page(render(record, pictures)).tags if tag == "img"]
    assert [sheet["alt"] for sheet in sheets] == [
        "36 images: real, held out", "36 images: pixelcnn", "36 images: independent",
    ]  # fmt: skip
    assert len({png(sheet["src"] or "").shape for sheet in sheets}) == 1


def test_rows_with_nan_are_counted_not_drawn(record: dict[str, Any]) -> None:
    space, broken = Space.real(2), rows(Space.real(2))
    broken[3, 1] = np.nan
    page = Page(render(record, Pictures(space, rows(space), {"pixelcnn": broken}))).text
    assert "Not drawn for numbers that are not finite: 1 of 40 samples of pixelcnn." in page


def test_wide_tables_say_what_is_left_out(record: dict[str, Any]) -> None:
    space = Space.real(27)
    page = render(record, Pictures(space, rows(space), {"pixelcnn": rows(space, seed=1)}))
    assert "The first 24 of 27 columns; 3 are left out." in Page(page).text
    assert [a["alt"] for tag, a in Page(page).tags if tag == "img"] == [
        "Correlations of the columns: real, held out", "Correlations of the columns: pixelcnn",
    ]  # fmt: skip


def test_ids_in_the_page_are_unique(record: dict[str, Any]) -> None:
    space = Space((3,), (Column("real"), Column("binary", 2, labels=("no", "yes")), Column("levels", 40)))
    page = Page(render(record, Pictures(space, rows(space), {"pixelcnn": rows(space), "vae": rows(space)})))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    linked = {a["href"][1:] for _, a in page.tags if (a.get("href") or "").startswith("#")}  # type: ignore[index]
    assert linked <= set(ids)


def test_shares_count_everything() -> None:
    np.testing.assert_allclose(
        shares_in_bins(np.array([-9.0, 0.5, 1.5, 9.0]), np.array([0.0, 1.0, 2.0])), [0.5, 0.5]
    )
    column = Column("categorical", 20, labels=tuple("abcdefghijklmnopqrst"))
    values = np.repeat(np.arange(20.0), np.arange(20) + 1)
    kept, labels = shown_levels(column, values)
    assert labels == list("jklmnopqrst")
    shares = level_shares(column, values, kept)
    np.testing.assert_allclose(shares, [*(np.arange(10, 21) / 210), 45 / 210])


def test_correlations_agree_with_numpy() -> None:
    x = rows(Space.real(4), 50) @ np.array([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1], [0, 0, 0, 1.0]])
    np.testing.assert_allclose(correlations(x), np.corrcoef(x.T), atol=1e-12)


def test_interval_decides_the_digits() -> None:
    shown = [show(nats(-118.4321, half).to_dict()).value for half in (30.0, 1.2, 0.12, 0.012)]
    assert shown == ["-118", "-118.4", "-118.43", "-118.432"]
    one_sided = {"value": -1.5, "sign": ">=", "unit": "nats", "interval": [None, -1.25]}
    assert show(one_sided).interval == "[-inf, -1.250]"


def test_plain_columns_are_aligned() -> None:
    cells = aligned(
        [show(nats(-118.4, 1.2).to_dict()), show(nats(-9.3, 1.2, Kind.LOWER).to_dict()), None], ["", "", "no"]
    )
    assert cells == [" = -118.4 [-119.6, -117.2]", ">=   -9.3 [-10.5, -8.1]", "no"]


def test_terminal_table_prints_names_as_they_are(record: dict[str, Any]) -> None:
    from rich.console import Console

    record["models"][1]["name"] = "[red]x[/red]\x1b[31m"
    console = Console(width=140, file=io.StringIO(), color_system=None)
    console.print(terminal_table(record))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "[red]x[/red]\\x1b[31m" in text and "\x1b" not in text
    assert "= -118.4 [-119.6, -117.2]" in text
    assert "\x1b" not in plain_table(record)


def test_a_check_that_does_not_apply_is_not_called_unproven(
    record: dict[str, Any], pictures: Pictures
) -> None:
    record["models"][0]["audit"] = [
        {"check": "no_leak", "holds": None, "evidence": "no order", "applies": False}
    ]
    for model in record["models"][1:]:
        model["audit"] = []
    page = render(record, pictures)
    assert "does-not-apply" in page and 'class="not-proven"' not in page


def test_failed_checks_are_named_first_and_the_rest_is_counted(record: dict[str, Any]) -> None:
    def verdict(check: str, holds: bool | None, **more: Any) -> dict[str, Any]:
        return {"check": check, "holds": holds, "evidence": "seen", **more}

    for model in record["models"]:
        model["audit"] = []
    first, second = (model["name"] for model in record["models"][:2])
    record["models"][0]["audit"] = [
        verdict("no_leak", False),
        verdict("mass_sums", True),
        verdict("rows", None),
    ]
    record["models"][1]["audit"] = [verdict("no_leak", None, applies=False), verdict("mass_sums", True)]
    assert second != first
    assert audit_lines(record) == [
        f"{first} fails no_leak: seen",
        f"2 hold; not proven: rows of {first}; 1 do not apply",
    ]
