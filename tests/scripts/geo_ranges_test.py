#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""scripts/geo-ranges.py against the standard library's way to collapse networks."""
import ipaddress
import pathlib
import subprocess
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts/geo-ranges.py"


class GeoRanges(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def convert(self, ranges, *names):
        """Runs the script on (first, last, country)s; what it wrote, by file."""
        geoip = self.folder / "geoip"
        lines = ["# a comment", ""]
        for first, last, country in ranges:
            first, last = (int(ipaddress.IPv4Address(text)) for text in (first, last))
            lines.append(f"{first},{last},{country}")
        geoip.write_text("\n".join(lines) + "\n", encoding="ascii")
        subprocess.run([SCRIPT, self.folder / "out", "--geoip", geoip, *names], check=True,
                       capture_output=True)
        return {path.name: path.read_text(encoding="ascii").split()
                for path in (self.folder / "out").glob("*.txt")}

    def test_a_range_becomes_the_fewest_prefixes(self):
        for first, last in (("192.0.2.1", "192.0.2.254"), ("192.0.2.0", "192.0.2.0"),
                            ("0.0.0.0", "255.255.255.255"), ("0.0.0.0", "0.0.0.6"),
                            ("255.255.255.253", "255.255.255.255"), ("9.255.255.255", "11.0.0.0")):
            expected = [str(network) for network in ipaddress.summarize_address_range(
                ipaddress.IPv4Address(first), ipaddress.IPv4Address(last))]
            with self.subTest(first=first, last=last):
                self.assertEqual(self.convert([(first, last, "FR")], "FR"),
                                 {"country-fr.txt": expected})

    def test_neighbours_are_joined_and_others_left_out(self):
        written = self.convert([("192.0.2.128", "192.0.2.255", "FR"),
                                ("192.0.2.0", "192.0.2.127", "FR"),
                                ("192.0.3.0", "192.0.3.255", "US"),
                                ("192.0.4.0", "192.0.4.255", "??")], "FR")
        self.assertEqual(written, {"country-fr.txt": ["192.0.2.0/24"]})

    def test_groups(self):
        ranges = [("192.0.2.0", "192.0.2.255", "FR"), ("192.0.3.0", "192.0.3.255", "DE"),
                  ("198.51.100.0", "198.51.100.255", "US"), ("203.0.113.0", "203.0.113.9", "??")]
        written = self.convert(ranges, "europe", "ALL", "EACH")
        self.assertEqual(written, {
            "country-europe.txt": ["192.0.2.0/23"],
            "country-all.txt": ["192.0.2.0/23", "198.51.100.0/24"],
            "country-fr.txt": ["192.0.2.0/24"],
            "country-de.txt": ["192.0.3.0/24"],
            "country-us.txt": ["198.51.100.0/24"],
        })
        yaml = (self.folder / "out/geo.yaml").read_text(encoding="ascii")
        self.assertIn("- id: mr-country-fr\n  cidrs-file: country-fr.txt\n", yaml)

    def test_an_unknown_country_is_refused(self):
        with self.assertRaises(subprocess.CalledProcessError):
            self.convert([("192.0.2.0", "192.0.2.255", "FR")], "XX")


if __name__ == "__main__":
    unittest.main()
