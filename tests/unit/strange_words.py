"""Words that a command line may be given: numbers, texts, paths and settings, good and strange."""

# ruff: noqa: SIM905 (a list of so many words is read more easily as a text)

from __future__ import annotations

NUMBERS: list[str] = (
    "-1 0 1 2 3 1.5 -0 +1 0x10 1_0 nan inf -inf 1e999 99999999999999999999 -99999999999999999999 1e3"
).split()
NUMBERS += [" 1", "\u0967"]
TEXTS: list[str] = (
    "x a,b , = a= =b c0=1 c1=a - -- -q --seed [ {} null %s {0} $HOME * ~ 1,1 9,9 auto none train real "
    "levels c0=real c1=levels dynamic 0.5 label c0 c1 cpu cuda cuda:99 meta made "
    "independent,independent independent,made nll ddp fsdp 0.01s -1m 1h1 low:high 0:1 1:0 nan:inf "
    "-inf:inf 0,0 bottom rows:1-4 g1"
).split()
TEXTS += ["", " ", '"', "\x1b[31m", "\u202e", "\udcff", "\xe9", "a\nb", "y" * 5000]
PATHS: list[str] = (
    "rows.csv run levels encoder latent levels.npy e.csv gone gone/deeper . empty mine.py "
    "mine.py:density mine.py:module mine.py:gone gone.py:f mine.py: :density run/model.json "
    "run/model.safetensors rows.csv/below new new.csv new.npy new.html new.png new.parquet new.npz "
    "new.zip digit a:b:c"
).split()
PATHS += ["", " ", "\udcff.csv", "a\nb.csv", "\x1b[31m.npy", "z" * 300]
SETTINGS: list[str] = (
    "batch=0 batch=-1 batch=1e999 batch= batch=null batch=99999999999999999999 batch=x rate=NaN "
    "rate=-1 rate=0 rate=1e999 rate=[1] clip=-1 patience=-1 average=2 decay=x hidden=[0] hidden=[-1] "
    "hidden={} hidden=4 hidden=[] transforms=0 transforms=-1 x=1 steps=3 seed=1 transforms=1.5 =1 "
    "hidden warmup=9 checks=0 save_every=0"
).split()
SETTINGS += ['hidden=["a"]']
