from __future__ import annotations

import importlib.util
import multiprocessing
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from privatekube import errors
from privatekube.training.lstm_steps import choice, library
from tests import waiting

CPU = torch.device("cpu")
CAPABILITY = "AVX2"

pytestmark = pytest.mark.skipif(
    torch.backends.cpu.get_cpu_capability() not in library.INSTRUCTIONS, reason="no library for this processor"
)
needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, ("c++", "g++", "clang++"))), reason="needs a C++ compiler"
)


@pytest.fixture
def compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A compiler that copies the library that there is, and notes that it was called."""
    program = tmp_path / "compiler"
    calls = tmp_path / "calls"
    built = _built()
    program.write_text(
        f'#!/bin/sh\necho called >> {calls}\nwhile [ "$1" != -o ]; do shift; done\nsleep 0.2\ncp {built} "$2"\n',
        encoding="utf-8",
    )
    program.chmod(0o700)
    monkeypatch.setenv("CXX", str(program))
    return calls


def _built() -> Path:
    try:
        return Path(library.load(capability=CAPABILITY)._name)
    except errors.InvalidInput as error:
        pytest.skip(str(error))


def test_a_library_is_built_once_in_a_folder_that_is_the_users_alone(compiler: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    for _ in range(2):
        loaded = library.load(folder, capability=CAPABILITY)
    assert compiler.read_text(encoding="utf-8") == "called\n"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {path.suffix for path in folder.iterdir()} == {".so", ""}  # the library and the lock
    assert Path(loaded._name).parent == folder


@pytest.mark.slow
def test_two_processes_at_once_build_once_and_both_load_it(compiler: Path, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")  # a copy of this process would lack the threads of torch
    processes = [
        context.Process(target=library.load, args=(tmp_path / "cache",), kwargs={"capability": CAPABILITY})
        for _ in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(waiting.PATIENCE_SECONDS)
    assert [process.exitcode for process in processes] == [0, 0]
    assert compiler.read_text(encoding="utf-8") == "called\n"


@pytest.mark.slow
@needs_compiler
def test_a_process_whose_package_is_replaced_builds_what_it_was_started_with(tmp_path: Path) -> None:
    for name in ("library.py", "kernels.cpp"):
        shutil.copy(Path(library.__file__).with_name(name), tmp_path / name)
    spec = importlib.util.spec_from_file_location("started_library", tmp_path / "library.py")
    assert spec is not None
    assert spec.loader is not None
    started = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(started)
    (tmp_path / "kernels.cpp").write_text("// the kernels of another version", encoding="utf-8")
    loaded = started.load(tmp_path / "cache", capability=CAPABILITY)
    assert Path(loaded._name).name == _built().name


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o755])
def test_a_folder_that_others_can_enter_is_refused(compiler: Path, tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "cache"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(errors.InvalidInput, match="not this user's alone"):
        library.load(folder, capability=CAPABILITY)
    assert not compiler.exists()


def test_a_way_to_the_folder_that_others_can_change_is_refused(compiler: Path, tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(errors.InvalidInput, match="changed by other users"):
        library.load(tmp_path / "open" / "cache", capability=CAPABILITY)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give a file to another user")
def test_a_folder_or_library_of_another_user_is_refused(compiler: Path, tmp_path: Path) -> None:
    built = Path(library.load(tmp_path / "cache", capability=CAPABILITY)._name)
    for path in (built, built.parent):
        os.chown(path, 12345, -1)
        with pytest.raises(errors.InvalidInput, match="not this user's alone"):
            library.load(tmp_path / "cache", capability=CAPABILITY)
        os.chown(path, 0, -1)


def test_a_link_in_place_of_the_library_is_refused(compiler: Path, tmp_path: Path) -> None:
    built = Path(library.load(tmp_path / "cache", capability=CAPABILITY)._name)
    built.rename(tmp_path / "elsewhere")
    built.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(errors.InvalidInput, match="not this user's alone"):
        library.load(tmp_path / "cache", capability=CAPABILITY)


@pytest.mark.parametrize(
    ("program", "reason"),
    [("missing-compiler", "is not installed"), ("false", "cannot build"), ("true", "cannot build")],
)
def test_without_a_compiler_that_works_torch_trains_and_one_line_says_why(
    program: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", program)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    chosen = choice.choose(CPU)
    assert chosen.path.name == "torch"
    assert chosen.reason is not None
    assert reason in chosen.reason
    assert "\n" not in chosen.reason


def test_a_file_that_is_no_library_is_refused(tmp_path: Path, compiler: Path) -> None:
    script = compiler.with_name("compiler")
    script.write_text('#!/bin/sh\nwhile [ "$1" != -o ]; do shift; done\necho none > "$2"\n', encoding="utf-8")
    with pytest.raises(errors.InvalidInput, match="cannot be loaded"):
        library.load(tmp_path / "cache", capability=CAPABILITY)


def test_a_processor_without_these_instructions_is_named() -> None:
    with pytest.raises(errors.InvalidInput, match="DEFAULT"):
        library.load(capability="DEFAULT")


@needs_compiler
def test_the_native_steps_are_chosen_where_there_is_a_compiler() -> None:
    chosen = choice.choose(CPU)
    assert (chosen.path.name, chosen.reason) == ("native", None)


THREADS = """
import os, torch
from privatekube.training.lstm_steps import library, native

def threads():
    return len(os.listdir("/proc/self/task"))

steps = native.Native(library.load(capability="AVX2"))
torch.set_num_threads(2)
before = threads()
steps.gaussians(torch.ones(2, 4, 1000, dtype=torch.int64))
with_steps = threads()
torch.ones(1 << 20).exp_()
print(with_steps - before, threads() - with_steps)
"""


@pytest.mark.slow
def test_the_steps_run_in_the_threads_that_torch_runs_in() -> None:
    """torch's threads wait for work in a loop: with threads of our own besides, two cores would have three to run."""
    _built()
    done = subprocess.run([sys.executable, "-c", THREADS], check=True, capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["1", "0"]
