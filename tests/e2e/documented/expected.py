# SPDX-License-Identifier: BSD-2-Clause
"""How each documented command ends, on a host like the one that documented_test.py makes.

A number is the exit status; YES: the same as 0, and somebody types yes where it asks; ENDLESS: it
goes on until it is interrupted. What is documented and stands not here fails the test, and so does
what stands here and is documented nowhere.
"""

YES = "yes"
ENDLESS = "endless"

EXPECTED = {
    # README and docs/
    'moat rules add --database postgresql --cidr 198.51.100.25/32 --label "My workstation"': 0,
    'moat rules add --database postgresql --cidr 203.0.113.0/24 --label "Application servers"': 0,
    "moat rules list --database postgresql": 0,
    "moat rules suggest --database orders": 0,
    "moat preflight": 0,
    "moat import pg_hba /etc/postgresql/15/main/pg_hba.conf --database postgresql": 0,
    "moat rules suggest --database postgresql": 0,
    "moat counters": 0,
    "moat databases enforce postgresql --confirm 5m": YES,
    "moat databases monitor postgresql": YES,
    "moat detach": YES,
    "nft -j list ruleset | moat import nft - --database postgresql": 1,  # there are no rules here
    "aws ec2 describe-security-groups --group-ids sg-903004f8 | "
    "moat import security-group - --database postgresql": 1,  # there is no such group
    "moat import ufw /etc/ufw/user.rules --database postgresql": 0,
    "moat check": 0,
    'moat rules add --database orders --cidr 203.0.113.7/32 --label "On call" --expires 12h': 0,
    "moat rules set --database orders r-1a2b3c4d --expires 7d": 0,
    "moat rules remove --database orders r-1a2b3c4d": 0,
    "moat why 203.0.113.7": 0,
    "moat status": 0,
    "moat net-peerings list": 0,
    "moat endpoints": 0,
    "moat events --follow": ENDLESS,
    "moat rules remove r-1a2b3c4d --confirm 60s": 0,
    "moat confirm": 0,
    "moat history": 0,
    "moat diff 17 18": 1,
    "moat rollback 17 --confirm 60s": 0,
    "moat apply ./config --dry-run": 0,
    "moat apply ./config --confirm 60s": YES,
    # moat(1)
    'moat rules add --database orders --cidr 198.51.100.25/32 --label "My workstation" '
    "--expires 24h": 0,
    "moat rules add --cidr 203.0.113.0/24 --confirm 60s && moat confirm": 0,
    "moat why 198.51.100.25 --config ./config": 0,
    "moat diff ./config || exit 1": 0,
    # moatd(8)
    "curl --unix-socket /run/moat/moatd.sock http://moatd/v1/status": 0,
    # moat COMMAND --help
    "moat check ./config": 0,
    "moat check /etc/moat/databases.d/orders.yaml": 0,
    "moat databases monitor orders": YES,
    "moat databases enforce orders": 0,
    "moat databases forget orders": 1,  # a file names it
    "moat rules list --database orders": 0,
    "moat rules list --unused 30d": 0,
    "moat rules add --database orders --cidr 198.51.100.25/32 --label 'My workstation'": 0,
    "moat rules add --managed-range mr-scalingo-osc-fr1 --expires 12h": 0,
    "moat rules add --database orders --me --expires 8h": 1,  # this is no SSH session
    "moat rules set --cidr 198.51.100.25/32 --label 'At home' --no-expires": 0,
    "moat rules remove --cidr 198.51.100.25/32": 0,
    "moat sessions --database orders": 0,
    "moat sessions --config ./config": 0,
    "moat preflight --config ./config": 0,
    "moat managed-ranges show mr-scalingo-osc-fr1": 0,
    "moat why 192.0.2.77": 0,
    "moat why 192.0.2.77 --config ./config": 0,
    "moat counters --database orders": 0,
    "moat counters --watch": ENDLESS,
    "moat drops --database orders": 0,
    "moat drops --follow": ENDLESS,
    "moat diff ./config && echo in force": 0,
    "moat console": 1,  # its pages are not installed
    "moat console --port 9099": 1,
    "moat import ufw /etc/ufw/user.rules --database orders": 0,
    "nft -j list ruleset | moat import nft -": 1,  # there are no rules here
    "moat import pg_hba /etc/postgresql/15/main/pg_hba.conf --port 5432": 0,
    "moat history 17": 0,
    "moat status --quiet || echo look": 0,
    "moat status --json | jq '.problems[].code'": 0,
    "moat events --since 2h": 0,
    "moat net-peerings add --database orders --id pcx-123456789 --cidr 10.42.0.0/16": 0,
    "moat rules add --database orders --net-peering pcx-123456789": 0,
    "moat net-peerings remove --database orders pcx-123456789": 0,
    "moat network-configuration --database orders": 0,
    "moat endpoints --database orders": 0,
    "moat managed-ranges accept mr-scalingo-osc-fr1 --digest 0123456789abcdef": 1,
    "moat trial 5m": 0,
    "moat bug-report --hash-labels": 0,
}
