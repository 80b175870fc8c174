"""Where a request to stop is heard, and when it waits."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from pymim import signals
from pymim.errors import Interrupted, Stopped


def ask(number=signal.SIGTERM):
    os.kill(os.getpid(), number)
    time.sleep(0)  # where Python looks at its signals


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (signal.SIGTERM, Stopped, "stopped by SIGTERM at step 3"),
        (signal.SIGUSR1, Stopped, "stopped by SIGUSR1 at step 3"),
        (signal.SIGHUP, Stopped, "stopped by SIGHUP at step 3"),
        (signal.SIGINT, Interrupted, "interrupted at step 3"),
    ],
)
def test_a_signal_raises_where_the_process_is(number, kind, words):
    with signals.handled():
        with pytest.raises(signals.Asked) as found:
            ask(number)
        assert found.value.exit_code == kind.exit_code
        error = found.value.error("at step 3")
        assert type(error) is kind and str(error) == words


def test_code_that_catches_every_exception_lets_a_signal_pass():
    with signals.handled(), pytest.raises(signals.Asked):
        try:
            ask()
        except Exception:
            raise AssertionError("it is no Exception") from None


def test_a_held_section_finishes_first():
    done = []
    with signals.handled(), pytest.raises(signals.Asked), signals.held():
        ask()
        done.append(signals.requested())
    assert done == [signal.SIGTERM]


def test_a_released_part_of_a_held_section_does_not():
    with signals.handled(), pytest.raises(signals.Asked), signals.held():
        ask()
        with signals.released(False):
            pass
        with signals.released():
            raise AssertionError("it was asked before")
    with signals.handled(), pytest.raises(signals.Asked), signals.held(), signals.released():
        ask()
        raise AssertionError("it is asked here")


def test_waiting_code_stops_after_its_patience():
    with signals.handled(), pytest.raises(signals.Asked), signals.held():
        signals.check()
        ask()
        signals.check(patience=60)
        signals.check()
        raise AssertionError("it was asked")


def test_a_second_signal_does_not_interrupt_the_saving():
    with signals.handled(), pytest.raises(signals.Asked):
        try:
            ask()
        finally:
            ask()
            ask(signal.SIGHUP)
            with signals.held():
                pass


def test_handlers_are_restored_and_requests_forgotten():
    before = [signal.getsignal(number) for number in signals.SIGNALS]
    with signals.handled(), signals.handled(), pytest.raises(signals.Asked):
        ask()
    assert [signal.getsignal(number) for number in signals.SIGNALS] == before
    assert not signals.requested()


def test_an_ignored_signal_stays_ignored():
    """As under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals.handled():
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
            ask(signal.SIGHUP)
            assert not signals.requested()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_another_thread_handles_nothing():
    failed = []

    def inside():
        try:
            with signals.handled(), signals.held():
                pass
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    assert not failed


AGAIN = """
import os, signal, sys, time
from pymim import signals
signals.SAME = 0.1
signals.begin()
if sys.argv[1] == "early":
    os.kill(os.getpid(), signal.SIGINT)
try:
    with signals.handled():
        signals.at_once(lambda: print("wrote"))
        os.kill(os.getpid(), signal.SIGINT)
except signals.Asked:
    print("saves")
    sys.exit(130)
"""


@pytest.mark.parametrize(
    ("when", "printed", "failed"),
    [("late", "saves\n", ""), ("early", "", "pymim: interrupted before it began\n")],
)
def test_ctrl_c_is_one_line_at_most(when, printed, failed):
    found = subprocess.run(
        [sys.executable, "-c", AGAIN, when], capture_output=True, text=True, check=False
    )
    assert (found.returncode, found.stdout, found.stderr) == (130, printed, failed)


SCRIPT = """
import os, signal, sys
import pymim.__main__
assert "torch" not in sys.modules
class Early:
    def find_spec(self, name, *rest):
        if name == "pymim.run":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Early())
sys.exit(pymim.__main__.main())
"""


def test_the_installed_command_hears_ctrl_c_before_torch_is_there():
    found = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False
    )
    assert (found.returncode, found.stderr) == (130, "pymim: interrupted before it began\n")


def test_ctrl_c_while_python_ends_changes_no_exit_code():
    ends = "import os, signal, sys\nfrom pymim import signals\nsignals.begin()\nsignals.end()\n"
    code = f"{ends}os.kill(os.getpid(), signal.SIGINT)\nsys.exit(75)"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (found.returncode, found.stdout, found.stderr) == (75, "", "")


TWICE = """
import os, signal, time
from pymim import signals
signals.SAME = 0.05
with signals.handled(), signals.held():
    signals.at_once(lambda: os.write(1, b"wrote"))
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGINT)  # the same one, handed on by a launcher
    time.sleep(0.1)
    os.write(1, b"waits ")
    os.kill(os.getpid(), signal.SIGINT)
    raise AssertionError("it left")
"""


def test_a_second_ctrl_c_leaves_at_once_and_silently():
    found = subprocess.run(
        [sys.executable, "-c", TWICE], capture_output=True, text=True, check=False
    )
    assert (found.returncode, found.stdout, found.stderr) == (130, "waits wrote", "")


def test_a_child_is_signalled_and_waited_for():
    child = "import signal, sys, time\nsignal.signal(15, lambda *_: sys.exit(75))\ntime.sleep(60)"
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    began = time.monotonic()
    with pytest.raises(signals.Asked):
        signals.run([sys.executable, "-c", child])
    assert time.monotonic() - began < 20
    assert signals.run([sys.executable, "-c", "raise SystemExit(3)"]) == 3
