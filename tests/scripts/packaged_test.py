#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Each file that is installed is in one of the Debian packages, and in one only: packaged_test.py BUILD"""

import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def read_packages():
    """The files and folders that each package names, by package."""
    return {
        path.stem: [pathlib.PurePosixPath("/", line.split()[0]) for line in path.read_text().splitlines()]
        for path in sorted((ROOT / "debian").glob("*.install"))
    }


def main():
    options = json.loads(subprocess.check_output(["meson", "introspect", "--buildoptions", sys.argv[1]]))
    prefix = next(option["value"] for option in options if option["name"] == "prefix")
    installed = json.loads(subprocess.check_output(["meson", "introspect", "--installed", sys.argv[1]]))
    packages = read_packages()
    faults = []
    for name in sorted(installed.values()):
        file = pathlib.PurePosixPath("/usr") / pathlib.PurePosixPath(name).relative_to(prefix)
        owners = [package for package, names in packages.items()
                  if any(file == one or one in file.parents for one in names)]
        if len(owners) != 1:
            faults.append(f"{file}: in {' and '.join(owners) if owners else 'no debian/*.install'}")
    print("\n".join(faults) if faults else f"{len(installed)} files in {len(packages)} packages")
    return bool(faults)


sys.exit(main())
