#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""That the layer check passes this tree, and fails on each kind of wrong include."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def check(tree):
    done = subprocess.run([sys.executable, ROOT / "scripts/lib/layers.py", tree],
                          capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


class Layers(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.put("bpf/abi.h")
        self.put("control/os/file.h")
        self.put("control/files/read.cpp", '#include "control/os/file.h"', "#include <string>")

    def put(self, name, *lines):
        path = pathlib.Path(self.folder.name) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n")

    def fails(self, *words):
        status, said = check(self.folder.name)
        self.assertEqual(status, 1, said)
        for word in words:
            self.assertIn(word, said)

    def test_this_tree_passes(self):
        status, said = check(ROOT)
        self.assertEqual(status, 0, said)

    def test_a_sound_tree_passes(self):
        self.assertEqual(check(self.folder.name)[0], 0)

    def test_an_include_that_points_up_fails(self):
        self.put("control/os/file.h", "", '#include "control/files/read.h"')
        self.put("control/files/read.h")
        self.fails("control/os/file.h:2: control/files/read.h is above it")

    def test_an_include_of_a_neighbour_on_the_same_line_fails(self):
        self.put("control/policy/policy.h")
        self.put("control/yaml/node.h", '#include "control/policy/policy.h"')
        self.fails("control/policy/policy.h is above it")

    def test_a_circle_fails(self):
        self.put("control/os/file.h", '#include "control/os/watch.h"')
        self.put("control/os/watch.h", '#include "control/os/file.h"')
        self.fails("a circle: control/os/file -> control/os/watch -> control/os/file")

    def test_a_library_outside_its_folder_fails(self):
        self.put("control/os/file.h", "#include <bpf/bpf.h>")
        self.fails("bpf/bpf.h belongs to dataplane/xdp")

    def test_only_main_knows_which_packet_path_it_is(self):
        self.put("dataplane/xdp/xdp_backend.h")
        self.put("control/daemon/moatd.cpp", '#include "dataplane/xdp/xdp_backend.h"')
        self.assertEqual(check(self.folder.name)[0], 0)
        self.put("control/state/state.cpp", '#include "dataplane/xdp/xdp_backend.h"')
        self.fails("dataplane/xdp/xdp_backend.h belongs to")

    def test_a_folder_that_the_order_lacks_fails(self):
        self.put("control/misc/odds.h", '#include "control/os/file.h"')
        self.fails("no place in the order: control/misc")

    def test_the_command_without_the_daemons_parts(self):
        self.put("control/enforce/publish.h")
        self.put("control/cli/moat.cpp", '#include "control/enforce/publish.h"')
        self.fails("control/cli does without control/enforce")


unittest.main()
