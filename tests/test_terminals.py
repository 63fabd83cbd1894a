"""Texts on terminals that know no more than ASCII: everything can be printed."""

import contextlib
import io
import types

import numpy as np
import pytest

import montezarr as mz
from montezarr.cli._group import print_result
from montezarr.core.text import as_ascii, for_terminal
from montezarr.monitor.display._terminal import Terminal

HESTON = mz.Heston(mu=0.0, kappa=1.0, theta=0.04, xi=0.5, rho=-0.5)


class Ascii(io.TextIOWrapper):
    def __init__(self):
        super().__init__(io.BytesIO(), encoding="ascii", write_through=True)

    def said(self):
        return self.buffer.getvalue().decode()


def of_symbols(σ=1.0):
    def sampler(rng, T):
        return σ * rng.standard_normal(T + 1)

    sampler.__name__ = "größe_σ"
    return mz.simulate(sampler, n_paths=50, T=3, seed=1)


def things(folder):
    ds = mz.simulate(HESTON, 2000, 3, {"s": 100.0, "v": 0.04}, seed=1)
    stored = mz.write(ds, folder / "größe.zarr")
    *_, snapshot = mz.stream(ds.s, "mean", until=mz.PathCount(1024))
    return [
        mz.plan(ds),
        mz.plan(ds, "mean"),
        mz.plan(of_symbols()),
        HESTON,
        ds.mz,
        stored.mz.recipe,
        mz.MonteCarloEngine(mz.RandomWalk()).simulate(10, 3, seed=1),
        mz.MarkovChain.fit(["calm", "storm", "calm", "calm", "storm"]),
        mz.MarkovChain(transition=(np.eye(12) * 1.0).tolist(), states=["ä" * 3, *"bcdefghijkl"]),
        snapshot,
        mz.verify(folder / "größe.zarr"),
    ]


def test_all_that_is_printed_is_shown(tmp_path):
    terminal = Ascii()
    with contextlib.redirect_stdout(terminal):
        for thing in things(tmp_path):
            print(thing)
            print(repr(thing))
    said = terminal.said()
    assert "gr\\xf6\\xdfe_sigma: 50 paths" in said
    assert "d<W, Z> = rho dt" in said
    assert "+/-" in said


def test_a_command_prints_its_result():
    terminal = Ascii()
    with contextlib.redirect_stdout(terminal):
        print_result("3 ± 0.1, größe", {}, as_json=False)
    assert terminal.said() == "3 +/- 0.1, gr\\xf6\\xdfe\n"


def test_a_live_line_is_shown_in_ascii():
    out = Ascii()
    terminal = Terminal.__new__(Terminal)
    terminal.out, terminal._is_tty, terminal._next_line = out, False, 0.0
    terminal.progress = types.SimpleNamespace(
        estimate=lambda: "x = 1 ± 0.1", speed=lambda: "2 µs", outlook=lambda: ""
    )
    terminal.show_text(is_last=True)
    assert out.said() == "x = 1 +/- 0.1; 2 us\n"


def test_a_terminal_that_can_show_them_gets_the_symbols():
    assert for_terminal("dX = σ √V dW") == "dX = σ √V dW"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("dX₁ = σ √V dW", "dX_1 = sigma sqrt V dW"),
        ("Xₖ₊₁ = Xₖ − 1", "X_k+1 = X_k - 1"),
        ("3 × 4 … ±2", "3 x 4 ... +/-2"),
        ("cos²X", "cos^2X"),
        ("naïve 語", "na\\xefve \\u8a9e"),
    ],
)
def test_symbols_have_names(text, shown):
    assert as_ascii(text) == shown
