#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The Containerfile has moatd run with the capabilities and the writable folders of its unit, no more and
no less."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def of_unit():
    """Capabilities, and folders that may be written."""
    settings = {}
    for line in (ROOT / "config/moatd.service.in").read_text().splitlines():
        name, is_setting, value = line.partition("=")
        if is_setting and not line.startswith("#"):
            settings.setdefault(name, []).extend(value.split())
    folders = {folder.removeprefix("-") for folder in settings["ReadWritePaths"]}
    folders |= {f"/var/lib/{name}" for name in settings["StateDirectory"]}
    folders |= {f"/run/{name}" for name in settings["RuntimeDirectory"]}
    return {name.removeprefix("CAP_") for name in settings["CapabilityBoundingSet"]}, folders


def of_container():
    text = (ROOT / "Containerfile").read_text()
    capabilities = re.findall(r"--cap-add (\S+)", text)
    volumes = [volume.split(":") for volume in re.findall(r"--volume ([^\s,`]+)", text)]
    return ({name for names in capabilities for name in names.split(",")},
            {inside for _, inside, *mode in volumes if mode != ["ro"]})


def main():
    faults = [f"{what}: the unit has {sorted(unit)}, the Containerfile {sorted(container)}"
              for what, unit, container in zip(("capabilities", "writable folders"), of_unit(), of_container())
              if unit != container]
    print("\n".join(faults) or "the Containerfile grants what the unit does")
    return bool(faults)


sys.exit(main())
