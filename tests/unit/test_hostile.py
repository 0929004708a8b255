"""Nothing executed: run folders, data files and names from a stranger do no harm, and say what is wrong with them."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import re
import resource
import struct
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import jensen
from jensen.checks.verdict import Verdict
from jensen.errors import DataError, JensenError, UsageError
from jensen.printable import printable

MIB = 1 << 20


class Trap:
    """Pickled, it leaves a file where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


@contextmanager
def refused(most: int = 300 * MIB, seconds: float = 20.0, match: str | None = None) -> Iterator[None]:
    """The block raises one of our errors with its three parts, and takes neither memory nor time for it."""
    before, begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(JensenError, match=match) as caught:
        yield
    assert caught.value.wrong and caught.value.given and caught.value.do
    # ru_maxrss is a high-water mark: it only ever hides a smaller rise
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < most
    assert time.process_time() - begun < seconds, "a bound on hangs, not on speed"


@pytest.fixture(scope="module")
def made() -> jensen.Fitted:
    return jensen.fit("made", "digits", steps=1, hidden=[8])


@pytest.fixture
def run(made: jensen.Fitted, tmp_path: Path) -> Path:
    return made.save(tmp_path / "run")


def edit(run: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    record = json.loads((run / "model.json").read_text())
    change(record)
    (run / "model.json").write_text(json.dumps(record))


def tensors_file(header: Any, body: bytes = b"", declared: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if declared is None else declared) + text + body


# --- run folders ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["os:system", "../../evil:Model", "jensen.models.made:MADE", "", ["made"], {"made": 1}, 3]
)
def test_no_class_outside_the_catalogue_is_imported(run: Path, name: Any) -> None:
    edit(run, lambda record: record["model"].update(name=name))
    with refused():
        jensen.load(run)


def test_a_class_of_another_module_is_not_looked_up(run: Path) -> None:
    edit(run, lambda record: record["model"].update({"class": "os:system"}))
    with pytest.raises(UsageError, match="another class"):
        jensen.load(run)


@pytest.mark.parametrize(
    "change",
    [
        lambda r: r["model"]["hyper"].update(hidden=[10**9]),
        lambda r: r["model"]["hyper"].update(hidden=[40_000, 40_000]),
        lambda r: r["model"]["hyper"].update(hidden=[1] * 200_000),
        lambda r: r["model"]["hyper"].update(hidden=[-1]),
        lambda r: r["model"]["hyper"].update(hidden="x" * 1000),
        lambda r: r["model"]["hyper"].update(context={"shape": [3]}),
        lambda r: r["model"]["hyper"].update(self=3),
        lambda r: r["model"]["hyper"].update({"__class__": "os"}),
        lambda r: r["model"].update(hyper=[1, 2]),
        lambda r: r["model"]["space"].update(shape=[2**40]),
        lambda r: r["model"]["space"].update(shape=[1, 2**11, 2**12]),
        lambda r: r["model"]["space"]["columns"][0].update(levels=2**40),
        lambda r: r["model"]["space"].update(shape="abc"),
        lambda r: r["codec"]["space"].update(shape=[2**40]),
        lambda r: r["codec"].update(codec="os.system"),
        lambda r: r.update(codec=[r["codec"]]),
        lambda r: r.update(context_codec={"space": 3}),
        lambda r: r.update(weights=None),
        lambda r: r.update(data=3),
        lambda r: r.update(notes={"a": 1}),
        lambda r: r.update(format="1"),
        lambda r: r.update(model=None),
    ],
)
def test_a_record_that_lies_is_refused_before_memory_is_taken(run: Path, change: Callable[..., Any]) -> None:
    edit(run, change)
    with refused():
        jensen.load(run)


@pytest.mark.parametrize(
    "text",
    [b"[" * 200_000, b'{"a":' * 200_000, b"{}", b"[]", b"3", b"\xff\xfe", b"NaN", b'{"format": 1}', b""],
    ids=["lists", "objects", "empty", "list", "number", "bytes", "nan", "short", "nothing"],
)
def test_a_record_that_is_none_or_too_deep_is_refused(run: Path, text: bytes) -> None:
    (run / "model.json").write_bytes(text)
    with refused():
        jensen.load(run)


F32 = {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 7,
        tensors_file(b"{}", declared=2**63),
        tensors_file(b"{}", declared=10**12),
        tensors_file({"a": F32}),
        tensors_file({"a": {**F32, "shape": [2**40], "data_offsets": [0, 2**42]}}, b"\0" * 16),
        tensors_file({"a": {**F32, "shape": [2**33, 2**33]}}, b"\0" * 16),
        tensors_file({"a": {**F32, "data_offsets": [0, 8]}}, b"\0" * 16),
        tensors_file({"a": F32, "b": F32}, b"\0" * 16),
        tensors_file({"a": {**F32, "dtype": "PICKLE"}}, b"\0" * 16),
        tensors_file({"../../etc/passwd": F32}, b"\0" * 16),
        tensors_file(b"[" * 100_000),
        b"\x80\x04\x95" + pickle.dumps([1, 2, 3]),
    ],
)
def test_weights_that_declare_what_they_do_not_hold_are_refused(run: Path, content: bytes) -> None:
    (run / "model.safetensors").write_bytes(content)
    with refused():
        jensen.load(run)


@pytest.mark.parametrize("file", ["model.json", "model.safetensors", "history.csv"])
@pytest.mark.parametrize("what", ["fifo", "device", "folder", "dangling", "loop"])
def test_what_is_no_file_is_not_read(run: Path, file: str, what: str) -> None:
    path = run / file
    path.unlink()
    if what == "fifo":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    else:
        path.symlink_to({"device": "/dev/zero", "dangling": "nowhere", "loop": file}[what])
    with refused():
        jensen.load(run)


def test_a_save_replaces_a_link_and_does_not_write_through_it(made: jensen.Fitted, run: Path) -> None:
    mine = run.parent / "mine.txt"
    mine.write_text("keep")
    for file in ("model.safetensors", "card.md", "history.csv"):
        (run / file).unlink()
        (run / file).symlink_to(mine)
    made.save(run, overwrite=True)
    assert mine.read_text() == "keep" and not (run / "card.md").is_symlink()
    assert jensen.load(run).name == "made"


@pytest.mark.parametrize(
    "text",
    ["step,loss\n1,2,3\n", "step,loss\n1\n", "step\n" + "9" * 5000, "a,b\n1,2\n", 'step\n"' + "x" * 200_000],
    ids=["more", "fewer", "digits", "columns", "field"],
)
def test_a_history_that_is_none_is_refused(run: Path, text: str) -> None:
    (run / "history.csv").write_text(text)
    with refused():
        jensen.load(run)


# --- data -------------------------------------------------------------------------------------------------------


def zeros_gz(size: int) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    block = b"0,0\n" * (MIB // 4)
    return b"".join([packer.compress(block) for _ in range(size // MIB)]) + packer.flush()


def npy(header: str) -> bytes:
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def zipped(content: bytes, name: str = "x.npy") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return out.getvalue()


HUGE = "{'descr': '<f8', 'fortran_order': False, 'shape': (%s,), }"
BOMBS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "csv.gz": ("x.csv.gz", lambda: zeros_gz(200 * MIB)),
    "tsv.gz in many parts": ("x.tsv.gz", lambda: gzip.compress(b"0\t0\n" * (MIB // 4)) * 100),
    "idx.gz": ("x.gz", lambda: gzip.compress(struct.pack(">4BII", 0, 0, 8, 2, 2**31, 2**31) + b"\0" * 99)),
    "idx.gz that holds it": (
        "x.gz",
        lambda: gzip.compress(struct.pack(">4BII", 0, 0, 8, 2, 2**10, 2**17) + bytes(2**27), 1),
    ),
    "idx": ("x-idx", lambda: struct.pack(">4BIIII", 0, 0, 14, 4, *[2**32 - 1] * 4) + b"\0" * 99),
    "npy": ("x.npy", lambda: npy(HUGE % (2**40)) + b"\0" * 80),
    "npy overflow": ("x.npy", lambda: npy(HUGE % f"{2**40}, {2**40}") + b"\0" * 80),
    "npy negative": ("x.npy", lambda: npy(HUGE % "-1, -1") + b"\0" * 8),
    "npy deep": ("x.npy", lambda: npy("(" * 9000)),
    "npy code": ("x.npy", lambda: npy("__import__('os').mkdir('trapped')")),
    "npz": ("x.npz", lambda: zipped(npy(HUGE % (2**40)) + b"\0" * 80)),
    "npz that holds it": ("x.npz", lambda: zipped(npy(HUGE % (12 * MIB)) + bytes(100 * MIB))),
    "npz traversal": ("x.npz", lambda: zipped(b"x", "../../evil.npy")),
    "npz of nothing": ("x.npz", lambda: zipped(b"", "x")),
}


@pytest.mark.parametrize("name", BOMBS)
def test_what_unpacks_to_more_than_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    file, content = BOMBS[name]
    Path(file).write_bytes(content())
    with refused(most=190 * MIB):
        jensen.rows(file, memory=64 * MIB)
    assert os.listdir() == [file]


@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_pickles_are_not_loaded(tmp_path: Path, suffix: str) -> None:
    trap, path = tmp_path / "trapped", tmp_path / f"x.{suffix}"
    values = np.array([Trap(trap), 3], dtype=object)
    if suffix == "npy":
        np.save(path, values, allow_pickle=True)
    else:
        np.savez(path, x=values)
    for use in (lambda: jensen.rows(path), lambda: jensen.rows("digits", context=path)):
        with refused():
            use()
    path.write_bytes(pickle.dumps(Trap(trap)))
    with refused():
        jensen.rows(path)
    assert not trap.exists()
    np.load(io.BytesIO(_saved(values)), allow_pickle=True)
    assert trap.exists(), "the trap works"


def _saved(values: Any) -> bytes:
    out = io.BytesIO()
    np.save(out, values, allow_pickle=True)
    return out.getvalue()


def png(width: int, height: int) -> bytes:
    """A PNG that declares so many pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    body = zlib.compress(bytes(1000))  # the header alone must do
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(30_000, 30_000), (12_000, 12_000), (2**31 - 1, 2**31 - 1)])
@pytest.mark.filterwarnings("ignore")
def test_an_image_of_more_than_memory_is_refused_by_its_header(tmp_path: Path, size: tuple[int, int]) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(png(*size))
    with refused(most=100 * MIB):
        jensen.rows(tmp_path / "images", memory=64 * MIB)


def test_a_pipe_among_images_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    os.mkfifo(tmp_path / "images" / "a.png")
    with refused():
        jensen.rows(tmp_path / "images")


# --- pages ------------------------------------------------------------------------------------------------------

BREAKERS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</script><script>alert(1)</script>",
    "</title></style></svg><script>alert(1)</script>",
    "{{ 7 * 7 }}{% raw %}",
    "-->\u2028<!--",
    "javascript:alert(1)",
    "\x00\x1b[31m\u202e",
]


class Strict(HTMLParser):
    """Fails on any element or attribute that could run what the page's author did not write."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts, self.inside = [], ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        assert not [name for name in given if name.startswith("on")], (tag, attrs)
        assert tag not in ("iframe", "object", "embed", "base", "form", "link"), (tag, attrs)
        for name in ("href", "src", "xlink:href"):
            assert (given.get(name) or "#").startswith(("#", "data:image/")), (tag, attrs)
        if tag == "script":
            self.scripts.append(given.get("type") or "code")

    handle_startendtag = handle_starttag


def check_page(text: str) -> None:
    parser = Strict()
    parser.feed(text)
    assert parser.scripts == ["application/json", "code"]
    for breaker in BREAKERS[:2] + BREAKERS[3:5]:  # the third may stand in text, not in an attribute
        assert breaker not in text, breaker
    assert not [c for c in text if c not in "\n\t" and printable(c) != c], "it turns writing round"
    assert "49" not in re.findall(r"<h1[^>]*>(.*?)</h1>", text)


def test_a_page_of_a_comparison_escapes_names_of_columns_files_categories_and_models(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    import pandas as pd

    frame = pd.DataFrame({name: rng.normal(size=90) for name in BREAKERS[:5]})
    frame["<b>kind</b>"] = [BREAKERS[i % len(BREAKERS)] for i in range(90)]
    path = tmp_path / "x<img src=x onerror=alert(1)>.parquet"
    frame.to_parquet(path)
    rows = jensen.rows(path)
    fitted = jensen.fit("independent", rows)
    named = dict.fromkeys(BREAKERS[:3], fitted)
    page = jensen.compare(named, rows).to_html(tmp_path / "page.html")
    check_page(Path(page).read_text(encoding="utf-8"))


def test_a_page_of_an_audit_escapes_its_title_command_and_evidence(tmp_path: Path) -> None:
    from jensen.errors import Cannot
    from jensen.report.audit_page import write_audit

    for breaker in BREAKERS:
        verdicts = [Verdict(breaker, holds, breaker) for holds in (True, False, None)]
        page = write_audit(
            tmp_path / "a.html", breaker, breaker, verdicts, Cannot(breaker, breaker, breaker), overwrite=True
        )
        check_page(page.read_text(encoding="utf-8"))


def test_notebook_views_escape_too() -> None:
    import pandas as pd

    frame = pd.DataFrame({name: np.random.default_rng(0).normal(size=60) for name in BREAKERS[:5]})
    rows = jensen.rows(frame)
    fitted = jensen.fit("independent", rows)
    shown = jensen.compare(dict.fromkeys(BREAKERS[:3], fitted), rows)
    text = shown._repr_html_()
    parser = Strict()
    parser.feed(text)
    assert not parser.scripts and "<img" not in text
    turned = jensen.compare({BREAKERS[-1]: fitted}, rows)._repr_html_()
    verdict = Verdict(BREAKERS[-1], True, BREAKERS[-1])._repr_html_()
    assert not [c for c in turned + verdict if c != "\n" and printable(c) != c]


def test_a_record_read_back_from_a_page_is_data_and_too_deep_a_one_an_error(tmp_path: Path) -> None:
    from jensen.report import read_record

    deep = "[" * 100_000
    (tmp_path / "p.html").write_text(f'<script type="application/json" id="jensen-record">{deep}</script>')
    with refused():
        read_record(tmp_path / "p.html")


def test_errors_of_data_stay_data_errors(run: Path) -> None:
    (run / "model.json").write_bytes(b"[" * 200_000)
    with pytest.raises(DataError, match="damaged"):
        jensen.load(run)
