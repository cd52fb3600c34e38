#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The tables of tests/kernels.md: kernels-table.py FOLDER, where scripts/kernels.sh has left results.

FOLDER/RELEASE/results/TEST.log is what a test printed, TEST.status its exit status and seconds; those
of compilers are named clang-N-vM.
"""
import importlib.util
import os
import re
import sys

HEAD = """\
# Kernels

What was tried under Debian's own kernels, each booted by `scripts/kernels.sh` in a virtual machine.
Written by `scripts/kernels.sh --write`.
"""
PROGRAMS = ("xdp", "backstop", "input", "wire", "sessions")
LIMIT = 1_000_000

# Ways to the database host, as tests/e2e/lib/ways.sh prints them.
HAS_WAY = re.compile(r"^ways that this kernel has: (.+)$", re.MULTILINE)
NOT_TRIED = re.compile(r"^NOT TRIED: ([^:]+): (.+)$", re.MULTILINE)
LOADED = re.compile(r"^(\w+): loaded, (\d+) of", re.MULTILINE)
STATUS = re.compile(r"^ *\| (Backstop .*)$", re.MULTILINE)
REFUSED = re.compile(r"^(?:.*/)?(\w+)(?:\.bpf\.o)?: refused: (.*)$", re.MULTILINE)
SKIPPED = re.compile(r"^\[ +SKIPPED +\] (\S+) \(", re.MULTILINE)
HOLDS = re.compile(r"^(\d+) passed, (\d+) failed$", re.MULTILINE)


def count_of_programs():
    """count() of count-tests.py, whose name is none that can be imported."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "count-tests.py")
    spec = importlib.util.spec_from_file_location("count_tests", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.count


class Kernel:
    def __init__(self, folder, release):
        self.release = release
        self.logs, self.statuses = {}, {}
        for entry in os.listdir(os.path.join(folder, release, "results")):
            name, kind = os.path.splitext(entry)
            with open(os.path.join(folder, release, "results", entry), encoding="utf-8",
                      errors="replace") as file:
                if kind == ".log" and not name.startswith("virtiofsd"):
                    self.logs[name] = file.read()
                elif kind == ".status":
                    self.statuses[name] = int(file.read().split()[0])

    def version(self):
        return [int(number) for number in re.findall(r"\d+", self.release)[:4]]

    def log(self, name):
        return self.logs.get(name, "")

    def result(self, name, count):
        """How a test ended, in a word and its numbers; empty if it was not run."""
        if name not in self.logs:
            return ""
        status = self.statuses.get(name)
        result = {0: "OK", 77: "SKIP"}.get(status, "FAIL")
        passed, failed, skipped = count({"result": result, "stdout": self.log(name)})
        if (held := HOLDS.search(self.log(name))) and result == "OK":
            passed, failed = map(int, held.groups())
        if result == "SKIP":
            return "skipped"
        words = f"{passed} passed" if passed > 1 else "passed" if result == "OK" else ""
        if failed or result == "FAIL":
            words = ", ".join(filter(None, (words, f"**{max(failed, 1)} FAILED**")))
        return words + (f", {skipped} skipped" if skipped else "")


def table(first, kernels, rows):
    """rows: (name, a cell for each kernel)"""
    lines = [f"| {first} | " + " | ".join(kernel.release for kernel in kernels) + " |",
             "| --- |" + " --- |" * len(kernels)]
    lines += [f"| {name} | " + " | ".join(cells) + " |" for name, cells in rows]
    return "\n".join(lines) + "\n"


def names_in_order(kernels, wanted):
    """Names of tests or compilers that some kernel has results of."""
    return sorted({name for kernel in kernels for name in kernel.logs if wanted(name)})


def is_compiler(name):
    return name.startswith("clang-")


def tests(kernels, count):
    names = names_in_order(kernels, lambda name: not is_compiler(name))
    return table("test", kernels, [(name, [kernel.result(name, count) or "not run" for kernel in kernels])
                                   for name in names])


def degraded(kernels):
    """What a kernel lacks, as status and the tests say it."""
    lines = []
    for kernel in kernels:
        said = STATUS.search(kernel.log("e2e_demo"))
        if said:
            lines.append(f"- {kernel.release}: `moat status` says `{' '.join(said[1].split())}`")
        skipped = [test for log in kernel.logs.values() for test in SKIPPED.findall(log)]
        if skipped:
            lines.append(f"- {kernel.release}: skipped: " + ", ".join(f"`{test}`" for test in skipped))
        limits = len(re.findall(r"^a limit of this kernel: ", kernel.log("e2e_backstop"), re.MULTILINE))
        if limits:
            lines.append(f"- {kernel.release}: e2e_backstop found {limits} packets answered that no socket"
                         " receives, as this kernel has no place for a program before sockets")
    return "\n".join(lines) + "\n"


def ways(kernels):
    has = {kernel: HAS_WAY.findall(kernel.log("e2e_backstop")) for kernel in kernels}
    lacks = {kernel: dict(NOT_TRIED.findall(kernel.log("e2e_backstop"))) for kernel in kernels}
    names = list(dict.fromkeys(name for kernel in kernels for name in has[kernel] + list(lacks[kernel])))

    def cell(kernel, name):
        if name in has[kernel]:
            return "tried"
        return f"**not tried**: {lacks[kernel].get(name, 'not told')}"

    return table("way", kernels, [(name, [cell(kernel, name) for kernel in kernels]) for name in names])


def margin(kernel, log):
    """{program: instructions}, or why not."""
    found = {program: int(number) for program, number in LOADED.findall(log)}

    def cell(program):
        if program in found:
            return f"{found[program]:,} ({found[program] * 100 / LIMIT:.1f} %)"
        if f"{program}: not here" in log:
            return "has none of its kind"
        return "**REFUSED**" if log else "not run"

    return [cell(program) for program in PROGRAMS]


def verifier(kernels):
    cells = [margin(kernel, kernel.log("loading")) for kernel in kernels]
    return table("program", kernels,
                 [(program, [each[i] for each in cells]) for i, program in enumerate(PROGRAMS)])


def compilers(kernels):
    def cell(kernel, name):
        log = kernel.log(name)
        if not log:
            return "not run"
        refused = [program for program, _ in REFUSED.findall(log)]
        if refused:
            return f"refused: {', '.join(sorted(refused))}"
        most = max(int(number) for _, number in LOADED.findall(log))
        return f"all load, {most:,} at most"

    return table("compiler, -mcpu", kernels,
                 [(name.replace("-v", ", v"), [cell(kernel, name) for kernel in kernels])
                  for name in names_in_order(kernels, is_compiler)])


def main():
    folder = sys.argv[1]
    kernels = sorted((Kernel(folder, release) for release in os.listdir(folder)
                      if os.path.isdir(os.path.join(folder, release, "results"))),
                     key=Kernel.version)
    print(HEAD)
    print(tests(kernels, count_of_programs()))
    print("## What a kernel lacks\n")
    print(degraded(kernels))
    print("## Instructions that the verifier looks at\n")
    print(f"It gives up at {LIMIT:,}. A test fails at three quarters of that.\n")
    print(verifier(kernels))
    print("## Ways round the guarded NIC\n")
    print("Those that `e2e_backstop` and its siblings try; the kernel, or what is installed, has to be able"
          " to make them.\n")
    print(ways(kernels))
    if names_in_order(kernels, is_compiler):
        print("## Compilers\n")
        print("What `scripts/kernels.sh --compilers` finds: whether all programs load, and how many"
              " instructions the verifier looks at. The ones that are built are clang-19's, with"
              " -mcpu=v3.\n")
        print(compilers(kernels), end="")


if __name__ == "__main__":
    main()
