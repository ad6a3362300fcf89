"""The bound on the processor time of a unit test: two seconds."""

from __future__ import annotations

import os
import resource
from collections.abc import Generator

import pytest

UNIT_TEST_SECONDS = 2.0
OTHERS_WORK = 10.0
"""How much more processor time a test may take where the cores are shared with other work: 3 was seen."""
LONG_MARKS = ("slow", "gpu", "kubernetes", "containers", "node")
USED = "processor seconds"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Note that a unit test used more than two seconds, and fail it where other work cannot be the reason.

    With the examples of another profile than the quick one, a property may take as long as it takes.
    """
    began = _processor_seconds()
    result = yield
    used = _processor_seconds() - began
    is_quick = os.environ.get("HYPOTHESIS_PROFILE", "quick") == "quick"
    is_unit_test = is_quick and not any(item.get_closest_marker(mark) for mark in LONG_MARKS)
    if is_unit_test and used > UNIT_TEST_SECONDS:
        item.user_properties.append((USED, f"{used:.1f}"))
    if is_unit_test and used > UNIT_TEST_SECONDS * OTHERS_WORK:
        bound = f"must use at most {UNIT_TEST_SECONDS:g} s of processor time"
        pytest.fail(f"{item.name}: used {used:.1f} s, {bound}; make it cheaper or mark it slow")
    return result


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List the unit tests that used more than two seconds: by other work of the machine, or each time."""
    reports = [report for report in terminalreporter.getreports("passed") if report.when == "call"]
    used = {report.nodeid: seconds for report in reports for name, seconds in report.user_properties if name == USED}
    if used:
        terminalreporter.section(f"unit tests above {UNIT_TEST_SECONDS:g} s of processor time")
    for name, seconds in used.items():
        terminalreporter.write_line(f"{seconds} s {name}")


def _processor_seconds() -> float:
    """Processor time of this process and of the children that it has waited for."""
    usages = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
