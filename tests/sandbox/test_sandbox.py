"""What a hostile job can do: waste its own time, and answer nonsense."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import harness
from harness.sandbox import walls
from harness.sandbox.client import Limits, Outcome, Sandbox

ENTRY = "tests.sandbox.jobs:do"
SHORT = Limits(time_s=1.0, memory_bytes=2**28, scratch_bytes=2**20, answer_bytes=10_000)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """One process for all: none of its jobs may harm the next."""
    with Sandbox(sys.executable, ENTRY) as opened:
        yield opened


def run(sandbox: Sandbox, source: str, **more: object) -> Outcome:
    """What comes of a source."""
    return sandbox.run({"source": source, **more}, limits=SHORT)


def attempt(sandbox: Sandbox, source: str) -> str:
    """What one statement raises; "done" if nothing."""
    indented = source.replace("\n", "\n    ")
    outcome = run(
        sandbox, f"try:\n    {indented}\n    answer = 'done'\nexcept OSError as error:\n    answer = str(error)"
    )
    assert "answered" == outcome.how, outcome
    return str(outcome.value)


def test_what_is_answered_comes_back(sandbox: Sandbox) -> None:
    """As JSON has it, with what was printed."""
    outcome = run(sandbox, "print('to people'); answer = [given * 2, {'a': None}, 'é']", given=21)
    assert ("answered", [42, {"a": None}, "é"], "to people\n") == (outcome.how, outcome.value, outcome.said)


def test_the_process_is_the_first_of_its_own(sandbox: Sandbox) -> None:
    """And sees no other: no /proc."""
    assert [1, False] == run(sandbox, "import os; answer = [os.getpid(), os.path.exists('/proc/1')]").value


@pytest.mark.parametrize(
    ("source", "how", "why"),
    [
        pytest.param("import os; os._exit(0)", "ended", "by itself, with status 0", id="exits with 0"),
        pytest.param("raise SystemExit(0)", "ended", "status 1", id="exits"),
        pytest.param("raise KeyError('model')", "ended", "status 1", id="raises"),
        pytest.param("while True: pass", "timeout", "", id="loops"),
        pytest.param("import time; time.sleep(60)", "timeout", "", id="sleeps"),
        pytest.param("answer = 'held' * 10_000", "too_much", "", id="says too much"),
        pytest.param("import os\nfor end in range(3, 20):\n  try: os.write(end, b'held')\n  except OSError: pass\n"
                     "os._exit(0)", "unreadable", "no JSON", id="writes to every pipe"),
        pytest.param("import os, signal; os.kill(os.getpid(), signal.SIGKILL)\nimport ctypes; ctypes.string_at(0)",
                     "ended", "SIGSEGV", id="crashes"),
        pytest.param("answer = object()", "ended", "status 1", id="answers with what is no JSON"),
        pytest.param("import sys; sys.setrecursionlimit(10**4)\nf = lambda: f()\nf()", "ended", "status 1",
                     id="recurses"),
    ],
)  # fmt: skip
def test_what_gives_no_answer_is_told(sandbox: Sandbox, source: str, how: str, why: str) -> None:
    """And the next job is answered."""
    outcome = run(sandbox, source)
    assert how == outcome.how, outcome
    assert why in outcome.why
    assert outcome.value is None
    assert 1 == run(sandbox, "answer = 1").value


def test_printing_says_nothing(sandbox: Sandbox) -> None:
    """To print an answer, or a whole line of the protocol, is to print."""
    outcome = run(sandbox, 'print(\'{"how": "answered", "answer": "1"}\'); print(\'held\'); answer = \'broken\'')
    assert ("answered", "broken") == (outcome.how, outcome.value)


def test_much_is_printed_for_nothing(sandbox: Sandbox) -> None:
    """Of it the end is kept."""
    outcome = run(sandbox, "print('x' * 10**6, 'the end'); answer = 1")
    assert 1 == outcome.value
    assert outcome.said.endswith("the end\n")
    assert len(outcome.said) <= 4000


def test_memory_is_limited(sandbox: Sandbox) -> None:
    """An error in the job, and not the machine's end."""
    assert "no" == run(sandbox, "try:\n  a = bytearray(2**30)\nexcept MemoryError:\n  answer = 'no'").value


@pytest.mark.parametrize(
    "source",
    [
        "import os; os.fork()",
        "import subprocess; subprocess.run(['true'])",
        "import os; os.execv('/bin/true', ['true'])",
        "import os; os.posix_spawn('/bin/true', ['true'], {})",
        "import multiprocessing; multiprocessing.get_context('fork').Process(target=print).start()",
    ],
)
def test_there_is_no_other_process(sandbox: Sandbox, source: str) -> None:
    """So no fork bomb."""
    assert "done" != attempt(sandbox, source)


def test_a_fork_bomb_is_one_process(sandbox: Sandbox) -> None:
    """It ends with its first attempt, or by its time."""
    outcome = run(sandbox, "import os\nwhile True:\n  try: os.fork()\n  except OSError: pass")
    assert "timeout" == outcome.how


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_to_its_group_goes_to_itself_alone(sandbox: Sandbox, number: int) -> None:
    """Neither who keeps it nor who runs jobs is in its group: the next job is answered, and at once."""
    outcome = run(sandbox, f"import os\nos.kill(0, {int(number)})\nanswer = 'alive'")
    assert "the process that runs jobs" not in outcome.why
    following = run(sandbox, "answer = 1")
    assert 1 == following.value
    assert following.wall_s < 10
    assert [0, 0, 1] == run(sandbox, "import os; answer = [os.getsid(0) - 1, os.getpgrp() - 1, os.getpid()]").value


def test_threads_are_let(sandbox: Sandbox) -> None:
    """A library may need them."""
    source = "import threading\nanswer = []\nt = threading.Thread(target=lambda: answer.append(1))\nt.start(); t.join()"
    assert [1] == run(sandbox, source).value


def test_nothing_of_the_machine_can_be_seen_or_written(sandbox: Sandbox, tmp_path: Path) -> None:
    """Neither files beside Python's own, nor other folders; Python's own cannot be changed."""
    secret = tmp_path / "secret"
    secret.write_text("token", encoding="utf-8")
    assert "No such file" in attempt(sandbox, f"open({str(secret)!r}).read()")
    assert "Read-only" in attempt(sandbox, f"open({os.path.join(sys.prefix, 'written')!r}, 'w')")
    assert "Read-only" in attempt(sandbox, "open('/written', 'w')")
    assert "done" != attempt(sandbox, "import os\nos.remove(os.__file__)")
    assert "done" != attempt(sandbox, "import os\nos.chmod(os.__file__, 0o777)")
    assert "token" == secret.read_text(encoding="utf-8")


def test_the_root_holds_what_python_needs(sandbox: Sandbox) -> None:
    """And nothing of the root before it."""
    tops = {Path(path).parts[1] for path in ("/usr", sys.prefix, sys.base_prefix, os.path.realpath(sys.executable))}
    expected = {*tops, "dev", "etc", "lib", "lib64", "proc", "scratch"}
    assert set(run(sandbox, "import os; answer = os.listdir('/')").value) <= expected
    assert ["cpuinfo"] == run(sandbox, "import os; answer = os.listdir('/proc')").value


def test_scratch_is_limited_and_forgotten(sandbox: Sandbox) -> None:
    """A folder in memory, of each job's own."""
    assert "done" == attempt(sandbox, "open('/scratch/a', 'w').write('here')")
    assert "No such file" in attempt(sandbox, "open('/scratch/a')")
    assert "done" != attempt(sandbox, "for n in range(64): open(f'/scratch/{n}', 'wb').write(bytes(2**16))")


def test_files_without_content_are_limited_too(sandbox: Sandbox) -> None:
    """They take the kernel's memory."""
    source = "import os\nfor n in range(10**5): os.close(os.open(f'/scratch/{n}', os.O_CREAT))"
    assert "No space left" in attempt(sandbox, source)


def test_what_is_shown_can_be_read_alone(sandbox: Sandbox, tmp_path: Path) -> None:
    """By its own path, in jobs that name it."""
    (tmp_path / "shown").write_text("text", encoding="utf-8")
    read = f"answer = open({str(tmp_path / 'shown')!r}).read()"
    assert "text" == sandbox.run({"source": read}, visible=[tmp_path]).value
    write = f"try:\n  open({str(tmp_path / 'shown')!r}, 'w')\nexcept OSError as error:\n  answer = str(error)"
    assert "Read-only" in sandbox.run({"source": write}, visible=[tmp_path]).value
    assert "ended" == sandbox.run({"source": read}).how


_LOOK = """
import sys
from pathlib import Path
from harness.sandbox.client import Sandbox
here = Path(sys.argv[1])
LOOK = "(lambda os, path: os.path.isdir(path) and os.listdir(path))(__import__('os'), {!r})"
with Sandbox(sys.executable, "builtins:eval") as sandbox:
    names = ["harness", "cases", "reports", "reference", "harness/sandbox", "cases/canaries", "beside", "out/inner"]
    for name in names:
        outcome = sandbox.run(LOOK.format(str(here / name)), visible=[Path(each) for each in sys.argv[2:]])
        print(name, outcome.value if outcome.how == "answered" else outcome)
"""


@pytest.mark.parametrize("called", ["site-packages", "checkout"])
def test_what_is_ours_cannot_be_seen(tmp_path: Path, called: str) -> None:
    """Installed among what a job sees, nothing of us is there: what must come of its calls stands there.

    What lies in a checkout of ours and is named, an environment that was built there, is seen.
    """
    here = tmp_path / "python" / called
    shutil.copytree(Path(harness.__file__).parent, here / "harness", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("cases/canaries/x.toml", "reports/a.py", "reference/a.py", "beside/a.py", "out/inner/a.py"):
        (here / name).parent.mkdir(parents=True)
        (here / name).write_text("returns = 1\n", encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, "-c", _LOOK, str(here), str(tmp_path / "python"), str(here / "out" / "inner")],
        env={**os.environ, "PYTHONPATH": str(here)}, cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    seen = dict(line.split(" ", 1) for line in ended.stdout.splitlines())
    for name in ("harness", "cases", "reports", "reference", "harness/sandbox", "cases/canaries"):
        assert seen[name] in ("[]", "False"), name
    assert "['a.py']" == seen["out/inner"]
    assert seen["beside"] == ("['a.py']" if called == "site-packages" else "False")


def test_what_is_hidden_is_hidden_under_every_name(tmp_path: Path) -> None:
    """And what is shown within it is shown; what nobody would see is not hidden."""
    (tmp_path / "real" / "inner" / "ours" / "shown").mkdir(parents=True)
    (tmp_path / "called").symlink_to("real")
    real, called = tmp_path / "real", tmp_path / "called"
    visible = [str(called), str(called / "inner"), str(real / "inner" / "ours" / "shown"), "relative", "/no/such"]
    expected = [
        (str(called), True), (f"{called}/inner/ours", False),
        (str(real), True), (f"{real}/inner/ours", False), (f"{real}/inner/ours/shown", True),
    ]  # fmt: skip
    assert expected == walls._planned(visible, [f"{called}/inner/ours", "/no/such"])
    assert [(f"{real}/inner/ours/shown", True)] == walls._planned(visible[2:], [f"{real}/inner/ours"])


def test_there_is_no_network(sandbox: Sandbox) -> None:
    """Not even this machine's own."""
    source = "import socket\nsocket.create_connection(('127.0.0.1', {port}), 1)"
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        assert "done" != attempt(sandbox, source.format(port=server.getsockname()[1]))
    assert "done" != attempt(sandbox, "import socket\nsocket.create_connection(('198.51.100.1', 80), 1)")


def test_nothing_of_the_environment_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the user's: neither in os.environ, nor in the memory where a process has its first ones."""
    monkeypatch.setenv("HF_TOKEN", "secret")
    with Sandbox(sys.executable, ENTRY) as sandbox:
        names = run(sandbox, "import os; answer = sorted(os.environ)").value
        assert "HF_TOKEN" not in names
        assert "/scratch" == run(sandbox, "import os; answer = os.environ['HOME']").value


def test_rights_cannot_be_had_back(sandbox: Sandbox) -> None:
    """No namespace, no mount, no tracing."""
    call = "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\n"
    for what in ("unshare(0x10000000)", "mount(b'x', b'/scratch', b'tmpfs', 0, None)", "umount2(b'/', 2)", "ptrace(0)"):
        assert -1 == run(sandbox, f"{call}answer = libc.{what}").value, what


def test_there_are_no_rights(sandbox: Sandbox) -> None:
    """Of none of the capabilities that the first of a namespace has, nor of any that it could get."""
    source = (
        "import ctypes, struct\n"
        "libc = ctypes.CDLL(None)\n"
        "had = ctypes.create_string_buffer(24)\n"
        "libc.capget(struct.pack('Ii', 0x20080522, 0), had)\n"
        "answer = [list(struct.unpack('6I', had.raw)), [libc.prctl(23, each, 0, 0, 0) for each in range(32)]]"
    )
    assert [[0] * 6, [0] * 32] == run(sandbox, source).value


@pytest.mark.parametrize("depth", [0, 1, 2, 3], ids=["who asked", "who waits", "who runs jobs", "who keeps this one"])
def test_a_job_ends_with_those_above_it(depth: int) -> None:
    """Killed, none of them leaves one that is below it."""
    program = (
        "import sys; from harness.sandbox.client import Limits, Sandbox\n"
        f"with Sandbox(sys.executable, {ENTRY!r}) as sandbox:\n"
        "    sandbox.run({'source': 'import time; time.sleep(60)'}, limits=Limits(time_s=60.0))\n"
    )
    with subprocess.Popen([sys.executable, "-c", program]) as process:
        try:
            below = _wait_for(lambda: _below(process.pid), lambda found: len(found) == 4)
            assert 4 == len(below), "who waits, who runs jobs, who keeps this one, and the job"
            os.kill([process.pid, *below][depth], signal.SIGKILL)
            below = below[depth:]
            left = _wait_for(lambda: [each for each in below if _parent_of(each) is not None], lambda found: not found)
            assert not left
        finally:
            process.kill()


def _wait_for(look: Callable[[], list[int]], is_enough: Callable[[list[int]], bool]) -> list[int]:
    """What is seen when it is enough, or after ten seconds."""
    until = time.monotonic() + 10
    while not is_enough(seen := look()) and time.monotonic() < until:
        time.sleep(0.05)
    return seen


def _below(pid: int) -> list[int]:
    """The processes below one, each after the one that started it."""
    parents = {int(path.name): _parent_of(int(path.name)) for path in Path("/proc").iterdir() if path.name.isdigit()}
    found = [pid]
    for each in found:
        found += [child for child, parent in parents.items() if parent == each]
    return found[1:]


def _parent_of(pid: int) -> int | None:
    """None of a process that is no more, or waits to be asked how it ended."""
    try:
        state, parent = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[:2]
    except OSError:
        return None
    return None if state == "Z" else int(parent)


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ("RLIMIT_CPU", 2),
        ("RLIMIT_FSIZE", SHORT.scratch_bytes),
        ("RLIMIT_NOFILE", SHORT.num_files),
        ("RLIMIT_CORE", 0),
    ],
)
def test_limits_are_the_kernels(sandbox: Sandbox, limit: str, expected: int) -> None:
    """Set, and not to be raised; processor time a second longer than the clock's, for a job of many threads."""
    source = f"import resource; answer = list(resource.getrlimit(resource.{limit}))"
    assert [expected, expected] == run(sandbox, source).value


def test_a_python_that_is_not_there_runs_nothing(tmp_path: Path) -> None:
    """It is said why."""
    with Sandbox(tmp_path / "python", ENTRY) as sandbox:
        outcome = run(sandbox, "answer = 1")
    assert "impossible" == outcome.how
    assert "cannot be started" in outcome.why


def test_jobs_run_side_by_side(sandbox: Sandbox) -> None:
    """In one process's memory at first, and then each behind walls of its own: none sees or harms another."""
    source = """
import os, time
began = time.monotonic()
open('/scratch/own', 'x').write('here')
time.sleep(0.7)
answer = [began, time.monotonic(), os.listdir('/scratch'), os.getpid(), given]
"""
    ends = "import os, signal, time\ntime.sleep(0.3)\nos.kill(0, signal.SIGKILL)\nos._exit(0)"
    with ThreadPoolExecutor() as pool:
        one, other = (pool.submit(run, sandbox, source, given=number) for number in (1, 2))
        third = pool.submit(run, sandbox, ends).result()
        first, second = one.result(), other.result()
    assert [["own"], 1, 1] == first.value[2:]
    assert [["own"], 1, 2] == second.value[2:], "to each its own answer"
    assert "ended" == third.how
    (began, ended, *_), (other_began, other_ended, *_) = first.value, second.value
    assert os.cpu_count() == 1 or max(began, other_began) < min(ended, other_ended)


def test_who_runs_jobs_is_replaced() -> None:
    """What it ran beside others is run again, alone: which of them it died of nobody knows."""
    before = set(_below(os.getpid()))
    with Sandbox(sys.executable, ENTRY) as sandbox, ThreadPoolExecutor() as pool:
        source, limits = {"source": "import time; time.sleep(1); answer = 1"}, Limits(time_s=60.0)
        num_jobs = min(2, os.cpu_count() or 1)
        waiting = [pool.submit(sandbox.run, source, limits=limits) for _ in range(num_jobs)]
        below = _wait_for(
            lambda: [each for each in _below(os.getpid()) if each not in before],
            lambda found: len(found) == 2 + 2 * num_jobs,
        )
        os.kill(below[0], signal.SIGKILL)
        for each in waiting:
            assert ("timeout" if num_jobs == 1 else "answered") == each.result().how
        assert 1 == run(sandbox, "answer = 1").value


def test_what_dies_alone_is_not_run_again() -> None:
    """It died of that."""
    before = set(_below(os.getpid()))
    with Sandbox(sys.executable, ENTRY) as sandbox, ThreadPoolExecutor() as pool:
        waiting = pool.submit(sandbox.run, {"source": "import time; time.sleep(60)"}, limits=Limits(time_s=60.0))
        below = _wait_for(
            lambda: [each for each in _below(os.getpid()) if each not in before], lambda found: len(found) == 4
        )
        os.kill(below[0], signal.SIGKILL)
        assert "timeout" == waiting.result().how
        assert "hung or died" in waiting.result().why


def test_what_does_not_end_beside_others_is_run_again() -> None:
    """They may have taken its time; so that it takes twice as long to say so."""
    with Sandbox(sys.executable, ENTRY) as sandbox, ThreadPoolExecutor() as pool:
        jobs = ["while True: pass", "answer = 1", "answer = 2"]
        run(sandbox, "answer = 0")
        endless, *others = (pool.submit(run, sandbox, each) for each in jobs)
        assert ["timeout", 1, 2] == [endless.result().how, *(each.result().value for each in others)]


@pytest.fixture
def slowly(tmp_path: Path) -> Callable[[str], Path]:
    """A Python that runs jobs after some changes to what runs them."""

    def make(changes: str) -> Path:
        python = tmp_path / "python"
        head = (
            f"#!{sys.executable}\nimport os, time\nfrom pathlib import Path\nfrom harness.sandbox import apart, walls\n"
        )
        python.write_text(f"{head}{changes}\napart.main()\n", encoding="utf-8")
        python.chmod(0o755)
        return python

    return make


def test_closed_while_it_starts_nothing_is_left(slowly: Callable[[str], Path]) -> None:
    """Though who runs jobs does not die with another yet."""
    late = "really = walls.die_with_parent\nwalls.die_with_parent = lambda: (time.sleep(1), really())"
    before = set(_below(os.getpid()))
    started = time.monotonic()
    with Sandbox(slowly(late), ENTRY) as sandbox:
        sandbox.begin()
        below = _wait_for(
            lambda: [each for each in _below(os.getpid()) if each not in before], lambda found: len(found) == 2
        )
        assert 2 == len(below)
    assert time.monotonic() - started < 5
    assert not _wait_for(lambda: [each for each in below if _parent_of(each) is not None], lambda found: not found)


def test_walls_that_take_too_long_keep_nobody_waiting(slowly: Callable[[str], Path]) -> None:
    """What is not behind them in its time is not run; others are."""
    late = (
        "really = walls.enter_room\n"
        "def enter_room(directory, visible, *more):\n"
        "    time.sleep(3 * ('/usr/lib' in visible))\n"
        "    really(directory, visible, *more)\n"
        "walls.enter_room = enter_room"
    )
    with Sandbox(slowly(late), ENTRY) as sandbox, ThreadPoolExecutor() as pool:
        run(sandbox, "answer = 0")
        started = time.monotonic()
        kept = pool.submit(sandbox.run, {"source": "answer = 1"}, limits=SHORT, visible=[Path("/usr/lib")])
        other = pool.submit(run, sandbox, "import time; time.sleep(0.5); answer = 2")
        assert ("impossible", 2) == (kept.result().how, other.result().value)
        assert time.monotonic() - started < 2.9


def test_a_job_for_which_there_is_no_process_is_not_run(slowly: Callable[[str], Path], tmp_path: Path) -> None:
    """And the others go on."""
    full = tmp_path / "full"
    changes = (
        "really = os.pipe\ndef pipe():\n"
        f"    if Path({str(full)!r}).exists(): raise OSError(24, 'Too many open files')\n"
        "    return really()\nos.pipe = pipe"
    )
    with Sandbox(slowly(changes), ENTRY) as sandbox, ThreadPoolExecutor() as pool:
        going = pool.submit(run, sandbox, "import time; time.sleep(0.8); answer = 1")
        time.sleep(0.4)
        full.touch()
        outcome = run(sandbox, "answer = 2")
        assert ("impossible", 1) == (outcome.how, going.result().value)
        assert "Too many open files" in outcome.why
        full.unlink()
        assert 3 == run(sandbox, "answer = 3").value


def test_closed_it_waits_for_no_job() -> None:
    """Those that run are ended, and none is begun."""
    with ThreadPoolExecutor() as pool:
        with Sandbox(sys.executable, ENTRY) as sandbox:
            source, limits = {"source": "import time; time.sleep(60)"}, Limits(time_s=60.0)
            waiting = [pool.submit(sandbox.run, source, limits=limits) for _ in range(9)]
            _wait_for(lambda: [each for each in range(9) if waiting[each].running()], lambda found: len(found) >= 2)
        started = time.monotonic()
        assert {each.result().how for each in waiting} <= {"timeout", "impossible"}
        assert time.monotonic() - started < 10


def test_what_is_begun_is_not_waited_for() -> None:
    """It imports while others work."""
    with Sandbox(sys.executable, ENTRY, preload=["wave"]) as sandbox:
        before = len(_below(os.getpid()))
        sandbox.begin()
        assert _wait_for(lambda: _below(os.getpid())[before:], lambda found: len(found) >= 2)
        assert 1 == run(sandbox, "answer = 1").value


def test_a_python_may_be_named_from_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that it starts is elsewhere."""
    monkeypatch.chdir(Path(sys.executable).parent)
    with Sandbox(Path(sys.executable).name, ENTRY) as sandbox:
        assert 1 == run(sandbox, "answer = 1").value


def test_what_is_imported_once_is_compiled_once(tmp_path: Path) -> None:
    """In a new environment nothing is yet: torch and transformers would take half a minute at each start."""
    environment = {"PYTHONPYCACHEPREFIX": str(tmp_path)}
    with Sandbox(sys.executable, ENTRY, preload=["wave"], environment=environment) as sandbox:
        assert "answered" == run(sandbox, "answer = 1").how
    assert list(tmp_path.rglob("wave.*.pyc"))


def test_a_package_that_cannot_be_imported_runs_nothing() -> None:
    """Nor does one that exits, as some do."""
    with Sandbox(sys.executable, ENTRY, preload=["no_such_package"]) as sandbox:
        outcome = run(sandbox, "answer = 1")
    assert "impossible" == outcome.how
    assert "no_such_package" in outcome.why


@pytest.mark.parametrize("call", ["unshare", "_filter_calls", "_mount"])
def test_without_walls_nothing_is_run(call: str, tmp_path: Path) -> None:
    """Not the job, and the reason is told."""
    breaking = tmp_path / "breaking.py"
    target = {"unshare": "walls._LIBC.unshare = lambda flags: -1"}.get(
        call, f"def no(*_): raise OSError('not to be had')\nwalls.{call} = no"
    )
    breaking.write_text(
        f"from harness.sandbox import walls\n{target}\ndef do(request): open({str(tmp_path / 'ran')!r}, 'w')\n",
        encoding="utf-8",
    )
    main = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nfrom harness.sandbox import apart\nimport breaking\n"
    python = tmp_path / "python"
    python.write_text(f"#!{sys.executable}\n{main}apart.main()\n", encoding="utf-8")
    python.chmod(0o755)
    with Sandbox(python, "breaking:do") as sandbox:
        outcome = sandbox.run({})
    assert "impossible" == outcome.how
    assert outcome.why
    assert ("deltaproof doctor" in outcome.why) is (call == "unshare"), "which settings to look at"
    assert not (tmp_path / "ran").exists()
