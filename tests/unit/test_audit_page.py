"""The audit on the command line and as a page: the counts are true, the maps show them, and nobody's text is markup."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from click.testing import CliRunner, Result
from torch import Tensor, nn

import jensen
from jensen.checks.verdict import Verdict
from jensen.cli import cli
from jensen.errors import Cannot, OutputError, UsageError
from jensen.functional.masks import conv_mask
from jensen.functional.order import fold_ranks, own_order, raster_order
from jensen.functional.schedule import blind_spot_curve
from jensen.functional.site_links import SiteLinks
from jensen.links import site_links
from jensen.models.made import MADE
from jensen.models.pixelcnn import PixelCNN
from jensen.report import read_record
from jensen.report.audit_page import render_audit, write_audit
from jensen.report.maps import heat_map, state_map
from jensen.space import Space

NET = """
import torch
from torch import nn
from jensen.functional.masks import conv_mask
from jensen.nn.masked import MaskedConv2d

def stack(kinds):
    return nn.Sequential(*(MaskedConv2d(conv_mask(kind, 1, 1, 3)) for kind in kinds))

def make():
    return stack("AB")

def leaky():
    return nn.Sequential(stack("A"), nn.GroupNorm(1, 1), stack("B"))

def unstable():
    return nn.Sequential(stack("A"), nn.BatchNorm2d(1), stack("B"))

def unknown():
    return lambda x: torch.from_numpy(x.detach().numpy().copy())

def classifier():
    return nn.Sequential(nn.Flatten(), nn.Linear(25, 3))

def colours():
    return MaskedConv2d(conv_mask("A", 3, 3, 3, channel_groups=3))
"""
HOSTILE = "<script>alert('x')</script>"


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fresh folder with the modules to audit."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    Path("net.py").write_text(NET, encoding="utf-8")


def audit(*words: str) -> Result:
    return CliRunner().invoke(cli, ["audit", *words])


def masks(kinds: str) -> Callable[[Tensor], Tensor]:
    def net(x: Tensor) -> Tensor:
        for kind in kinds:
            x = F.conv2d(x, conv_mask(kind, 1, 1, 3).to(x), padding=1)
        return x

    return net


def signs(links: SiteLinks) -> list[str]:
    """The states of one channel, a string a row."""
    return ["".join(row) for row in links.states.reshape(-1, links.shape[-1])]


# --- what one place sees ----------------------------------------------------------------------------------------------

A2 = {
    "AA": ["#####", "###--", "#-o..", ".....", "....."],
    "AB": ["#####", "####-", "##o..", ".....", "....."],
    "BA": ["#####", "####-", "##o..", ".....", "....."],
    "BB": ["#####", "####-", "##@..", ".....", "....."],
}


@pytest.mark.parametrize("kinds", A2)
def test_a2_the_map_tells_the_blind_spot_and_the_leak_from_the_rest(kinds: str) -> None:
    links = site_links(masks(kinds), input_shape=(1, 5, 5))
    assert links.at == (2, 2) and signs(links) == A2[kinds]
    assert (links.earlier, links.earlier_reached) == (12, 9 if kinds == "AA" else 11)
    assert links.sees_itself is (kinds == "BB") and links.later_seen == 0
    assert (links.steps is None) is (kinds == "BB")


@pytest.mark.parametrize("depth", [1, 5])
def test_a3_the_place_reaches_as_many_as_the_curve_says(depth: int) -> None:
    links = site_links(masks("A" + "B" * depth), input_shape=(1, 12, 9), at=(7, 4))
    curve = blind_spot_curve([depth], shape=(12, 9), position=(7, 4))
    assert (links.earlier_reached, links.earlier) == (int(curve.reached), curve.earlier)
    assert links.shares is not None and torch.isclose(links.shares[7 * 9 + 4], curve.share[0])
    assert links.shares[0].isnan() and links.shares[1] == 1


def test_a_stack_of_a_and_b_is_drawn_in_82_exact_parallel_steps_of_784() -> None:
    links = site_links(masks("AB"), input_shape=(1, 28, 28))
    assert links.steps == 82
    assert "drawn in 82 exact parallel steps of 784 sites" in links.words()
    levels = links.on_map(links.levels)  # two steps a row: a site needs its right neighbour's row above
    assert np.array_equal(levels[0], np.arange(28) + 2 * np.arange(28)[:, None])


def test_a_model_is_judged_in_its_own_order() -> None:
    made = MADE(Space.levels(6, 3), (16,), order=[5, 3, 1, 0, 2, 4])
    links = site_links(made, at=(0,))
    assert links.own and signs(links) == ["o#.#.#"]
    assert (links.earlier, links.earlier_reached, links.steps) == (3, 3, 6)
    assert links.levels is not None and links.on_map(links.levels).tolist() == [3, 2, 4, 1, 5, 0]


def test_ordered_channels_are_sites_of_their_own() -> None:
    model = PixelCNN(Space.levels((3, 4, 5), 4), 12, 1).eval()
    links = site_links(model, at=(1, 1, 2))
    assert links.order is not None and links.order.sites == 60
    rank = 3 * (5 + 2) + 1
    assert links.earlier == rank
    assert [str(links.states[channel, 1, 2]) for channel in range(3)] == ["#", "o", "."]
    union = site_links(model, at=(1, 2))
    assert union.earlier == rank + 1 and not union.sees_itself
    conv = nn.Conv2d(3, 3, 3, padding=1)
    with torch.no_grad():
        conv.weight *= conv_mask("A", 3, 3, 3, channel_groups=3)
    assert site_links(conv, input_shape=(3, 4, 5), channel_order=True).steps is not None
    together = site_links(conv, input_shape=(3, 4, 5))
    assert together.sees_itself and together.steps is None  # G of a pixel sees its R


def test_a_leak_counts_the_later_sites_that_are_seen() -> None:
    links = site_links(nn.Conv2d(1, 1, 3, padding=1), input_shape=(1, 4, 4), at=(1, 1))
    assert signs(links) == ["###-", "#@!.", "!!!.", "...."]
    assert (links.later_seen, links.why_no_steps) == (4, "there are none: a site sees itself or a later one")
    assert "a leak: it sees itself and 4 later sites" in links.words()


def test_batch_norm_is_said_to_leak_in_training_only_and_modes_are_left_alone() -> None:
    net = nn.Sequential(nn.Conv1d(1, 1, 2, padding=1), nn.BatchNorm1d(1), nn.ConstantPad1d((0, -1), 0.0))
    with torch.no_grad():
        net[0].weight[..., 1] = 0
    links = site_links(net, input_shape=(1, 6))
    assert net.training and net[1].training and int(net[1].num_batches_tracked) == 0
    assert signs(links) == ["--#o.."]
    assert links.in_training == "in training mode 5 more inputs reach the place and rows of a batch mix"


def test_too_many_sites_give_the_place_without_the_pairs() -> None:
    links = site_links(masks("AB"), input_shape=(1, 33, 32), at=(2, 2))
    assert links.matrix is None and links.steps is None and links.shares is None
    assert links.earlier_reached == 11 and "beyond 1,024 sites, here 1,056" in links.why_no_steps
    assert links.in_training == "training mode is not followed beyond 1,024 sites"


def test_an_output_apart_from_the_input_has_a_map_and_no_order() -> None:
    linear = nn.Linear(5, 3)
    links = site_links(linear, input_shape=(5,), at=(1,))
    assert links.order is None and links.reached.all() and signs(links) == ["#####"]
    assert links.words() == [f"exact parallel steps: {links.why_no_steps}"]
    with pytest.raises(Cannot, match="does not lie on the positions"):
        site_links(linear, input_shape=(5,))


def test_every_place_agrees_with_the_receptive_field() -> None:
    torch.manual_seed(0)
    net = nn.Conv2d(2, 3, 3, padding=1, stride=1)
    for at in ((0, 0), (1, 2), (2, 1, 1)):
        assert np.array_equal(
            site_links(net, input_shape=(2, 3, 3), at=at).reached, jensen.receptive_field(net, (2, 3, 3), at)
        )


@pytest.mark.parametrize(("given", "output", "middle"), [((7,), (7, 2), (3,)), ((3, 8), (4, 8), (4,))])
def test_the_middle_is_found_in_sequences(
    given: tuple[int, ...], output: tuple[int, ...], middle: Any
) -> None:
    def net(x: Tensor) -> Tensor:
        one = x if len(given) == 1 else x.sum(1)
        many = one.unsqueeze(-1 if len(given) == 1 else 1)
        return many.expand(len(x), *output) * 1.5

    links = site_links(net, input_shape=given)
    assert links.at == middle
    assert links.states.reshape(-1, given[-1])[0, middle[0]] == "@"


def test_orders_are_refused_where_channels_cannot_be_told_apart() -> None:
    with pytest.raises(Cannot, match="2 output channels"):
        raster_order((3, 4, 4), (2, 4, 4), channel_order=True)
    order = own_order(torch.tensor([2, 0, 1]), (3,), 6)
    assert order.inputs.tolist() == [1, 2, 0] and order.outputs.tolist() == [1, 1, 2, 2, 0, 0]
    assert fold_ranks(torch.eye(3).bool(), order.inputs, 3).int().argmax(1).tolist() == [1, 2, 0]


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_counts_stand_below_the_map_and_in_the_json() -> None:
    words = ("net.py:make", "--input-shape", "1,5,5", "--at", "3,3")
    text = audit(*words).stdout
    assert text.splitlines()[-3:] == [
        "  11 of 12 earlier sites reached (raster order), 1 in the blind spot",
        "  sees neither itself nor a later site",
        "  drawn in 13 exact parallel steps of 25 sites",
    ]
    facts = json.loads(audit(*words, "--json").stdout)[-1]
    assert facts["check"] == "receptive_field" and facts["at"] == [3, 3] and facts["order"] == "raster"
    assert (facts["earlier"], facts["earlier_reached"], facts["later_seen"]) == (12, 11, 0)
    assert (facts["sites"], facts["parallel_steps"], facts["why_no_steps"]) == (25, 13, None)
    assert np.sum(facts["reached"]) == 11 and facts["sees_itself"] is False


def test_a_leak_has_no_steps_and_says_why() -> None:
    words = ("net.py:leaky", "--input-shape", "1,5,5", "--at", "3,3")
    result = audit(*words)
    assert result.exit_code == 1
    assert "a leak: it sees itself and 11 later sites" in result.stdout
    assert "exact parallel steps: there are none" in result.stdout
    facts = json.loads(audit(*words, "--json").stdout)[-1]
    assert facts["parallel_steps"] is None and "sees itself" in facts["why_no_steps"]


def test_an_operation_without_a_rule_keeps_the_verdicts_and_is_named() -> None:
    words = ("net.py:unknown", "--input-shape", "1,3,3", "--at", "2,2", "--html", "page.html")
    result = audit(*words)
    assert result.exit_code == 0
    assert (
        "undecided  no_leak" in result.stdout and "no rule for Tensor.numpy" in result.stdout.splitlines()[-3]
    )
    assert "no rule for Tensor.numpy" in Path("page.html").read_text(encoding="utf-8")
    facts = json.loads(audit(*words, "--overwrite", "--json").stdout)
    assert facts[-1]["holds"] is None and "Tensor.numpy" in facts[-1]["evidence"]


def test_batch_norm_is_named_below_the_map() -> None:
    text = audit("net.py:unstable", "--input-shape", "1,5,5", "--at", "3,3").stdout
    assert "drawn in 13 exact parallel steps of 25 sites" in text
    # all the first layer sees is mixed, which is all but the last pixel: 24 - 11
    assert "in training mode 13 more inputs reach the place and rows of a batch mix" in text


def test_channels_in_order_are_asked_for() -> None:
    words = ("net.py:colours", "--input-shape", "3,4,4", "--at", "2,2", "--json")
    found = {one["check"]: one for one in json.loads(audit(*words).stdout)}
    assert found["no_leak"]["holds"] is False and found["receptive_field"]["sites"] == 16
    found = {one["check"]: one for one in json.loads(audit(*words, "--channel-order").stdout)}
    assert found["no_leak"]["holds"] is True and found["receptive_field"]["sites"] == 48


def test_a_page_is_never_written_over_unasked() -> None:
    Path("page.html").write_text("mine", encoding="utf-8")
    words = ("net.py:make", "--input-shape", "1,5,5", "--html", "page.html")
    result = audit(*words)
    assert result.exit_code == 2 and "--overwrite" in result.stderr and not result.stdout
    assert Path("page.html").read_text(encoding="utf-8") == "mine"
    result = audit(*words, "--overwrite")
    assert result.exit_code == 0 and result.stdout.rstrip().endswith("report: page.html")
    assert "Receptive field" not in result.stdout  # no place was asked for: the page shows the middle
    assert Path("page.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_a_run_has_a_page_and_a_model_without_sites_says_so() -> None:
    rows = jensen.rows("digits")
    jensen.fit("made", rows, steps=3, hidden=[16]).save("runs/made")
    assert audit("runs/made", "--checks", "no_leak", "--html", "new/made.html").exit_code == 0
    record = read_record("new/made.html")
    assert record["receptive_field"]["order"] == "own" and record["receptive_field"]["parallel_steps"] == 64
    jensen.fit("independent", rows).save("runs/independent")
    assert audit("runs/independent", "--checks", "no_leak", "--html", "new/i.html").exit_code == 0
    page = Path("new/i.html").read_text(encoding="utf-8")
    assert "no parameters site by site" in page and read_record("new/i.html")["receptive_field"] is None


# --- the page -----------------------------------------------------------------------------------------------------------


class Read(HTMLParser):
    """Tags with their attributes, and the text outside style and script."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.inside: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in ("style", "script"):
            self.inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.inside and self.inside[-1] == tag:
            self.inside.pop()

    def handle_data(self, data: str) -> None:
        if not self.inside:
            self.words.append(data)


def read(page: str) -> Read:
    parser = Read()
    parser.feed(page)
    return parser


def page_of(links: SiteLinks | Cannot, *verdicts: Verdict, title: str = "net.py:make") -> str:
    return render_audit(title, "jensen audit net.py:make", verdicts, links)


def maps(page: Read) -> list[str]:
    """What is read out for every map and plot."""
    return [
        str(attrs["aria-label"]) for tag, attrs in page.tags if tag == "svg" and attrs.get("role") == "img"
    ]


def test_the_page_says_and_shows_what_was_found() -> None:
    links = site_links(masks("AB"), input_shape=(1, 5, 5))
    page = read(page_of(links, Verdict("no_leak", True, "proven for all 325 pairs")))
    text = " ".join(" ".join(page.words).split())
    assert "A row is drawn in 13 exact parallel steps of 25 sites." in text
    assert "proven for all 325 pairs" in text and "1 in the blind spot" in text
    drawn = maps(page)
    assert any("earlier, reached: 11; earlier, not reached: the blind spot: 1;" in label for label in drawn)
    assert any(label.startswith("Share of earlier sites reached, by place.") for label in drawn)
    assert any(label.startswith("The step in which each site is drawn. 13 exact") for label in drawn)
    stacks = [label for label in drawn if "on a 5x5 map" in label]
    assert [label.split(" on ")[0] for label in stacks] == ["A then A", "A then B", "B then A", "B then B"]
    assert "sees 11 12 13 14 15 21 22 23 24 31 32 33." in stacks[3]


def test_a_page_fetches_nothing_and_runs_its_own_script_only() -> None:
    page = page_of(site_links(masks("AB"), input_shape=(1, 5, 5)))
    for tag, attrs in read(page).tags:
        assert tag not in ("link", "iframe", "object", "base")
        for name in ("src", "href", "xlink:href"):
            assert (attrs.get(name) or "#").startswith(("#", "data:"))
    assert "default-src 'none'" in page and "prefers-color-scheme: dark" in page
    assert not re.search(r"url\((?!#)", page)


@pytest.mark.parametrize("links", ["place", "none"])
def test_text_of_the_user_is_never_markup(links: str) -> None:
    found = site_links(masks("AB"), input_shape=(1, 5, 5)) if links == "place" else Cannot(HOSTILE, HOSTILE)
    page = page_of(found, Verdict("no_leak", False, HOSTILE, {"why": HOSTILE}), title=HOSTILE)
    assert "<script>alert" not in page
    assert sum(tag == "script" for tag, _ in read(page).tags) == 2
    assert " ".join(read(page).words).count(HOSTILE) >= (2 if links == "place" else 3)


@pytest.mark.parametrize(
    ("holds", "said"),
    [
        (True, "Proven autoregressive"),
        (False, "Not autoregressive"),
        (None, "Not proven to be autoregressive"),
    ],
)
def test_the_summary_follows_the_verdict(holds: bool | None, said: str) -> None:
    assert said in page_of(Cannot("no rule"), Verdict("no_leak", holds, "e"))
    skipped = Verdict("no_leak", None, "does not apply", {"applies": False})
    assert "No check fails." in page_of(Cannot("no rule"), skipped)


@pytest.mark.parametrize("shape", [(64,), (1, 1), (1, 1, 1), (5, 3, 3), (1, 1, 40), (2, 3, 4, 4)])
def test_every_shape_has_a_page(shape: tuple[int, ...]) -> None:
    text = page_of(site_links(lambda x: x.roll(1, -1) * 2, input_shape=shape))
    assert "nan" not in re.sub(r"<script.*?</script>|<style.*?</style>", "", text, flags=re.DOTALL)
    assert read(text).tags


def test_the_page_is_written_whole_or_refused(tmp_path: Path) -> None:
    links = site_links(masks("AB"), input_shape=(1, 5, 5))
    path = write_audit(tmp_path / "a.html", "t", "c", [], links)
    assert read_record(path)["receptive_field"]["parallel_steps"] == 13
    with pytest.raises(OutputError):
        write_audit(path, "t", "c", [], links)
    with pytest.raises(OutputError):
        write_audit(tmp_path / "no" / "a.html", "t", "c", [], links)


def test_maps_have_one_path_a_state_and_a_mark_beside_the_colour() -> None:
    states = np.array([["#", "-", "o"], ["!", "@", "."]])
    text = state_map(states, 'a "label" <b>', here=(1, 1))
    assert 'aria-label="a &quot;label&quot; &lt;b&gt;"' in text
    for classes in ("seen", "missed", "itself", "leak", "itself leak", "later", "mark-missed", "ring"):
        assert text.count(f'class="{classes}"') == 1
    assert text.count('class="mark-leak"') == 2


def test_long_sequences_are_folded_into_lines_and_lose_nothing() -> None:
    states = np.array([["#"] * 60 + ["o"] + ["."] * 9])
    text = state_map(states, "long", here=(0, 60))
    assert len(re.findall("M", re.search(r'class="seen" d="([^"]*)"', text)[1])) == 60  # type: ignore[index]
    assert ">29<" in text and ">57<" in text  # the first place of the second and third line
    shades = heat_map(np.arange(70.0)[None], 69.0, "long", str)
    assert sum(found.count("M") for found in re.findall(r' d="([^"]*)"', shades)) == 70


def test_a_small_heat_map_writes_its_numbers_and_leaves_nan_empty() -> None:
    text = heat_map(np.array([[np.nan, 50.0], [100.0, 99.6]]), 100.0, "shares", lambda value: f"{value:.1f}")
    assert re.findall(r"font-size=\"[\d.]+\">([\d.]+)<", text) == ["50.0", "100.0", "99.6"]
    assert text.count('class="later"') == 1


def test_a_wrong_place_is_refused_in_the_words_of_the_option() -> None:
    result = audit("net.py:make", "--input-shape", "1,5,5", "--at", "9,9")
    assert result.exit_code == 2 and "--at names no place" in result.stderr
    with pytest.raises(UsageError):
        site_links(masks("AB"), input_shape=(1, 5, 5), at=(8, 8))


def test_a_comparison_shows_what_its_autoregressive_models_see(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).integers(0, 2, (60, 1, 3, 3))
    result = jensen.compare(["independent", "made", "pixelcnn"], rows, steps=2)
    fields = {model["name"]: model["field"] for model in result.to_dict()["models"]}
    assert fields["independent"] is None
    assert fields["made"]["states"] == [["###", "#o.", "..."]] and fields["made"]["parallel_steps"] == 9
    drawn = maps(read(result.to_html(tmp_path / "page.html").read_text(encoding="utf-8")))
    said = "4 of 4 earlier sites; 9 exact parallel steps of 9 sites"
    assert f"Receptive field of made: {said}" in drawn
    assert not any("of independent" in label for label in drawn if label.startswith("Receptive field"))
