"""A stream that one watches in a notebook: a real kernel, spoken to as a front end does."""

import base64
import importlib.util
import queue
import time

import pytest
from patience import PATIENCE

import montezarr as mz

MISSING = [
    name
    for name in ("jupyter_client", "ipykernel", "ipywidgets", "matplotlib")
    if importlib.util.find_spec(name) is None
]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]

START = """
import sys
import montezarr as mz

def stream(until):
    gbm = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)
    ds = mz.simulate(gbm, n_paths=None, T=2, x0=100.0, dt=0.5, seed=42)
    payoff = (ds.x.isel(time=-1) - 100).clip(min=0).rename("payoff")
    return mz.stream(payoff, [mz.Mean(), mz.Histogram()], until=until)
"""

ENDLESS = """
for snapshot in mz.live(stream(mz.PathCount(10**12)), every=0.2):
    pass
snapshot.stopped, snapshot.paths % 1024
"""


class Kernel:
    """A kernel, and the outputs of its cells as a front end keeps them."""

    def __init__(self):
        from jupyter_client import manager

        self.manager, self.client = manager.start_new_kernel(kernel_name="python3")
        self.start("")
        self.read(lambda: self.is_idle)

    def start(self, code):
        """Begin to run a cell."""
        self.shown, self.updates, self.widgets = {}, [], {}
        self.result, self.text, self.is_idle = None, "", False
        self.cell = self.client.execute(code)

    def read(self, until, seconds=PATIENCE):
        """Take messages of the cell until there is what one waits for."""
        deadline = time.monotonic() + seconds
        while not until():
            assert time.monotonic() < deadline, self.shown
            try:
                message = self.client.get_iopub_msg(timeout=1)
            except queue.Empty:
                continue
            kind, content = message["msg_type"], message["content"]
            is_ours = message["parent_header"].get("msg_id") == self.cell
            if kind in ("display_data", "update_display_data"):
                self.shown[content["transient"]["display_id"]] = content["data"]
                self.updates.append(content["data"])
            elif kind == "execute_result" and is_ours:
                self.result = content["data"]["text/plain"]
            elif kind == "error":
                raise AssertionError("\n".join(content["traceback"]))
            elif kind == "stream":
                self.text += content["text"]
            elif kind == "comm_open":
                self.widgets[content["data"]["state"]["_model_name"]] = content["comm_id"]
            elif kind == "status" and is_ours and content["execution_state"] == "idle":
                self.is_idle = True

    def run(self, code, seconds=PATIENCE):
        """Run a cell, and return its result."""
        self.start(code)
        self.read(lambda: self.is_idle, seconds)
        return self.result

    @property
    def pictures(self):
        return [data["image/png"] for data in self.updates if "image/png" in data]

    @property
    def html(self):
        return "".join(d["text/html"] for d in self.shown.values() if "text/html" in d)

    def control(self, kind, **content):
        """Send a message on the channel that is answered also while a cell runs."""
        message = self.client.session.msg(kind, content)
        self.client.control_channel.send(message)
        return self.client.get_control_msg(timeout=PATIENCE)["content"]


@pytest.fixture(scope="module")
def kernel():
    kernel = Kernel()
    kernel.run(START)
    yield kernel
    kernel.client.stop_channels()
    kernel.manager.shutdown_kernel(now=True)


def test_one_figure_is_drawn_again_in_its_place(kernel):
    kernel.run("for snapshot in mz.live(stream(mz.Seconds(4)), every=0.2): pass")
    pictures = kernel.pictures
    assert len(set(pictures)) > 1
    assert all(base64.b64decode(p).startswith(b"\x89PNG") for p in pictures)
    (last,) = [d["image/png"] for d in kernel.shown.values() if "image/png" in d]
    assert last == pictures[-1].rstrip("\n")
    assert "stopped: 4 s" in kernel.html
    assert "payoff_mean = " in kernel.html
    # A notebook that is saved has no widget in it.
    assert "widget-view" not in str(kernel.shown)
    assert kernel.text == ""


def test_an_interrupt_ends_the_cell_with_its_result(kernel):
    kernel.start(ENDLESS)
    kernel.read(lambda: kernel.pictures)
    kernel.manager.interrupt_kernel()
    kernel.read(lambda: kernel.is_idle, 20)
    assert kernel.result == "('by the user', 0)"
    assert "stopped: by the user" in kernel.html
    assert kernel.run("1 + 1") == "2"


def test_a_click_in_a_subshell_ends_the_cell_with_its_result(kernel):
    subshell = kernel.control("create_subshell_request")["subshell_id"]
    kernel.start(ENDLESS)
    kernel.read(lambda: kernel.pictures)
    assert "widget-view" in str(kernel.shown)
    click = {"method": "custom", "content": {"event": "click"}}
    content = {"comm_id": kernel.widgets["ButtonModel"], "data": click}
    message = kernel.client.session.msg("comm_msg", content)
    message["header"]["subshell_id"] = subshell
    kernel.client.shell_channel.send(message)
    kernel.read(lambda: kernel.is_idle, 20)
    assert kernel.result == "('by the user', 0)"
    assert "widget-view" not in str(kernel.shown)
    assert kernel.run("1 + 1") == "2"


def test_an_error_and_an_early_end_leave_no_button(kernel):
    kernel.run(
        "for snapshot in mz.live(stream(mz.PathCount(10**12))):\n"
        "    if snapshot.paths > 4096: break"
    )
    assert "widget-view" not in str(kernel.shown)
    assert "stopped: left by its reader" in kernel.html


@pytest.mark.parametrize(
    ("package", "line"),
    [
        ("matplotlib.figure", 'pip install "montezarr[plot]"'),
        ("ipywidgets", 'pip install "montezarr[notebook]"'),
    ],
)
def test_what_is_not_installed_is_done_without_and_said_in_a_line(kernel, package, line):
    kernel.run(f"known = sys.modules.get({package!r}); sys.modules[{package!r}] = None")
    kernel.run("for snapshot in mz.live(stream(mz.PathCount(50_000))): pass")
    assert line in kernel.html.replace("&quot;", '"')
    assert kernel.html.count("pip install") == 1
    assert bool(kernel.pictures) == (package == "ipywidgets")
    assert "stopped: 50,000 paths" in kernel.html
    kernel.run(f"sys.modules[{package!r}] = known")


def test_the_kernel_has_this_package(kernel):
    assert kernel.run("mz.__file__") == repr(mz.__file__)
