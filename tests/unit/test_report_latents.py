"""The section on latents: numbers as in the record, pictures of the rows that they are said to be of."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import jensen
from jensen.report import images, read_record
from jensen.report.walks import path_strips, walk_strips


@pytest.fixture(scope="module")
def result() -> jensen.Comparison:
    data = jensen.rows("digits")
    fitted = jensen.fit("vae", data, steps=300, latents=3, hidden=(16,))
    with torch.no_grad():  # of three units, one that no row moves
        last = fitted.model.encoder.net.layers[-1]  # type: ignore[union-attr]
        last.weight[[1, 4]] = 0  # type: ignore[index, operator]
        last.bias[[1, 4]] = 0  # type: ignore[index, operator]
    return jensen.compare({"<seen>": fitted, "flat": "independent"}, data, k=2)


@pytest.fixture(scope="module")
def page(result: jensen.Comparison, tmp_path_factory: pytest.TempPathFactory) -> str:
    path: Path = result.to_html(tmp_path_factory.mktemp("report") / "report.html")
    return path.read_text(encoding="utf-8")


def section(page: str) -> str:
    return page[page.index('<section id="latents"') : page.index('<section id="training"')]


def test_the_numbers_of_the_section_are_those_of_the_record(page: str, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text(page, encoding="utf-8")
    models = {model["name"]: model for model in read_record(tmp_path / "report.html")["models"]}
    latents = models["<seen>"]["latents"]
    assert models["flat"]["latents"] is None
    text = re.sub(r"<[^>]*>|\s+", " ", section(page))
    for one in range(3):
        assert f"{latents['kl'][one]:.3f}" in text and f"{latents['spread'][one]:.3f}" in text
    assert f"≥ {latents['information']:.2f} nats" in text and f"{latents['cap']:.2f} can be seen" in text
    assert latents["spread"][1] == 0 and text.count("not active") == 3 - latents["active"] >= 1
    assert "&lt;seen&gt;" in text and "<seen>" not in section(page)


def test_a_collapse_is_said_with_what_to_try(result: jensen.Comparison) -> None:
    from jensen.report.latents import latents_view
    from jensen.report.pictures import Pictures

    record: dict[str, Any] = result.to_dict()
    pictures = Pictures(result.data.space, np.asarray(result.data.test[:4]))
    places = {model["name"]: place for place, model in enumerate(record["models"])}
    for collapsed in (False, True):
        next(m for m in record["models"] if m["latents"])["latents"]["collapsed"] = collapsed
        (shown,) = latents_view(record, pictures, places)
        assert ("free bits" in shown["warning"]) is collapsed
        assert shown["cloud"] is shown["walks"] is None  # no pictures at hand, numbers all the same


def png(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))


def test_the_images_of_a_strip_are_the_rows_of_its_walk(result: jensen.Comparison, page: str) -> None:
    seen = next(entry.insight for entry in result.entries if entry.insight is not None)
    space = result.data.space
    scale = images.scale_of(space, np.zeros(0))
    for strip, walk in zip(walk_strips(seen, scale).strips, seen.walks, strict=True):
        sheet = png(strip.uri)
        for n, row in enumerate(walk.rows):
            assert (sheet[:, 9 * n : 9 * n + 8, 0] == np.rint(np.clip(row[0] / 16, 0, 1) * 255)).all()
        assert strip.mark is not None and 0 < strip.mark < 100
        assert strip.uri in page and f'alt="{strip.alt}"' in page
    ends = png(path_strips(seen, scale).strips[0].uri)
    assert (ends[:, :8, 0] == np.rint(seen.paths[0].ends[0, 0] / 16 * 255)).all()
    assert (ends[:, -8:, 0] == np.rint(seen.paths[0].ends[1, 0] / 16 * 255)).all()


def test_every_picture_of_the_section_says_what_it_shows(page: str) -> None:
    tags = re.findall(r"<(?:img|svg class=\"plot)[^>]*>", section(page))
    assert len(tags) > 5 and all(re.search(r'(alt|aria-label)="[^"]{8,}"', tag) for tag in tags)
