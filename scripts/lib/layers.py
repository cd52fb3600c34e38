#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Fails where an include points up, where files include each other in a circle, or where a library
shows outside the folder that is named for it:  layers.py [TREE]"""

import pathlib
import re
import sys

TREE = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parents[2])
PARTS = ("bpf", "dataplane", "control")
# A folder (or file) may include those of lines above its own. On one line: not each other.
ORDER = [line.split() for line in """
bpf
dataplane
dataplane/table dataplane/host
dataplane/backend.h
dataplane/xdp dataplane/dpdk
control/text
control/os
control/yaml control/policy
control/files
control/resolve
control/enforce/compile.h
control/enforce/fit.h
control/state
control/history control/enforce
control/service
control/api control/cli
control/agent control/daemon
control/daemon/moatd.cpp control/daemon/moat_dpdk.cpp
""".strip().splitlines()]
RANK = {name: rank for rank, line in enumerate(ORDER) for name in line}
# Beyond the order: what would link the command to the daemon. The compiler is a library of its own.
NEVER = [("control/cli", "control/enforce")]
NEVER += [("control/agent", f"control/{other}") for other in ("api", "cli", "enforce", "history", "state")]
# What only these may include: libraries, and which packet path it is.
HOMES = {
    r"dataplane/(xdp|dpdk)/": "dataplane/xdp dataplane/dpdk control/daemon/moatd.cpp control/daemon/moat_dpdk.cpp",
    r"bpf/|\w+\.skel\.h": "dataplane/xdp", r"rte_": "dataplane/dpdk",
    r"libmnl/": "dataplane/host", r"xxhash\.h": "dataplane",
    r"systemd/": "control/os control/daemon", r"spdlog/": "control/os",
    r"yaml-cpp/": "control/yaml/node.cpp", r"microhttpd\.h": "control/api",
    r"prometheus/": "control/api", r"CLI/": "control/text/command_line.cpp control/cli control/agent/moat_agent.cpp",
    r"curl/": "control/agent", r"ares\.h": "control/agent", r"libsmartcols/": "control/cli",
}


def place(file):
    return file if file in RANK else str(pathlib.PurePosixPath(file).parent)


def unit(file):
    return file.rsplit(".", 1)[0]


def faults_of(file, included, is_ours):
    # Our bpf/ is for all; libbpf's headers are named alike.
    homed = {} if is_ours and included.startswith("bpf/") else HOMES
    for pattern, homes in homed.items():
        if re.match(pattern, included) and not file.startswith(("bpf/", *homes.split())):
            yield f"{included} belongs to {homes}"
    if not is_ours:
        return
    here, there = place(file), place(included)
    if there not in RANK or here not in RANK:
        yield f"no place in the order: {here if here not in RANK else there}"
    elif here != there and RANK[there] >= RANK[here]:
        yield f"{included} is above it"
    elif (here, there) in NEVER:
        yield f"{here} does without {there}"


def circles(graph):
    done, path = set(), []

    def visit(node):
        if node in path:
            yield path[path.index(node):] + [node]
        elif node not in done:
            path.append(node)
            for other in sorted(graph.get(node, ())):
                yield from visit(other)
            path.pop()
            done.add(node)

    for node in sorted(graph):
        yield from visit(node)


def main():
    found, graph = [], {}
    files = [file for part in PARTS for file in sorted((TREE / part).rglob("*"))
             if file.suffix in (".h", ".c", ".cpp")]
    for path in files:
        file = path.relative_to(TREE).as_posix()
        for number, line in enumerate(path.read_text().splitlines(), 1):
            match = re.match(r'#include [<"]([^>"]+)[>"]', line)
            if not match:
                continue
            included = match.group(1)
            is_ours = (TREE / included).is_file()
            found += [f"{file}:{number}: {fault}" for fault in faults_of(file, included, is_ours)]
            if is_ours and unit(included) != unit(file):
                graph.setdefault(unit(file), set()).add(unit(included))
    found += ["a circle: " + " -> ".join(circle) for circle in circles(graph)]
    print("\n".join(found) if found else f"{len(files)} files in {len(RANK)} places, none points up")
    return bool(found)


sys.exit(main())
