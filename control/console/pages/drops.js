// SPDX-License-Identifier: BSD-2-Clause
// Who is refused, as it happens.

import {Chart} from '../chart.js';
import {DropLog} from '../drop-log.js';
import {Table, badge, card, element, link, replace, select, textInput} from '../dom.js';
import {ago, number, plural} from '../words.js';

export const title = 'Drops';

const maxRows = 100; // more nobody reads, and each costs time

const reasons = {
  'no-rule': 'No rule of the database names the source.',
  martian: 'An impossible source address.',
  fragment: 'A fragment of a TCP packet to a guarded address.',
  malformed: 'An invalid header.',
  'source-route': "An IPv4 option that routes by the sender's will.",
  'vlan-depth': 'More than four VLAN tags.',
  ipv6: 'There are no IPv6 rules.',
  backstop: 'Refused at the socket: it came another way than by a guarded interface.',
};

export function mount(page) {
  const log = new DropLog();
  const chart = new Chart(page);
  const source = textInput({
    'aria-label': 'Source starts with',
    placeholder: 'Source',
    maxlength: 45,
    oninput: showAgain,
  });
  const database = select([['', 'All databases']], {'aria-label': 'Database', onchange: showAgain});
  const reason = select([['', 'All reasons'], ...Object.keys(reasons).map(name => [name, name])], {
    'aria-label': 'Reason',
    onchange: showAgain,
  });
  const pause = element('input', {type: 'checkbox', id: 'moat-pause', onchange: showAgain});
  const said = element('p.moat-count');
  const table = new Table('Recent drops', columns(page), drop => drop.key, 'No drop matches.');
  let drops = [];
  replace(
    page.root,
    card('Over time', chart.root),
    card(
      'Recent drops',
      element(
        'div.moat-toolbar',
        {},
        source,
        database,
        reason,
        element('label', {for: 'moat-pause'}, pause, ' Hold still'),
        said,
      ),
      table.root,
    ),
  );
  page.watch(
    () => log.ask(),
    answer => {
      chart.update();
      if (pause.checked) return;
      drops = answer;
      addDatabases();
      showAgain();
    },
  );

  function addDatabases() {
    const known = [...database.options].map(({value}) => value);
    for (const name of new Set(drops.map(drop => drop.database)))
      if (name && !known.includes(name)) database.append(element('option', {value: name}, name));
  }

  function showAgain() {
    const fit = drops.filter(
      drop =>
        drop.source.startsWith(source.value.trim()) &&
        (!database.value || drop.database === database.value) &&
        (!reason.value || drop.reason === reason.value),
    );
    table.update(fit.slice(0, maxRows));
    said.textContent = [
      fit.length > maxRows
        ? `the latest ${maxRows} of ${number(fit.length)} rows`
        : plural(fit.length, 'row'),
      log.unlisted > 0 && `${number(log.unlisted)} packets are counted and not listed`,
    ]
      .filter(Boolean)
      .join('; ');
  }
}

function columns(page) {
  return [
    {name: 'Source', value: drop => drop.source || '-'},
    {name: 'Database', value: drop => drop.database || (drop.port ? `port ${drop.port}` : '-')},
    {
      name: 'Reason',
      value: drop => [drop.reason, drop.monitored],
      show: drop => [
        badge(drop.reason, drop.monitored ? 'orange' : 'red', reasons[drop.reason]),
        drop.monitored && ' passed (monitor mode)',
      ],
    },
    {
      name: 'Came by',
      value: drop => (drop.vlan ? `${drop.interface}, VLAN ${drop.vlan}` : drop.interface || '-'),
    },
    {name: 'Packets', number: true, value: drop => number(drop.packets)},
    {name: 'First', value: drop => ago(drop.first)},
    {name: 'Last', value: drop => ago(drop.last)},
    {
      name: 'Actions',
      isActions: true,
      value: drop => [drop.source, drop.database, drop.reason, page.mayChange],
      show: showActions,
    },
  ];

  // There are no rules for IPv6, and none lets in a packet that is dropped for its form.
  function showActions(drop) {
    const isAllowable =
      drop.database && ['no-rule', 'backstop'].includes(drop.reason) && !drop.source.includes(':');
    const of = parameters => new URLSearchParams(parameters).toString();
    return element(
      'div.moat-actions',
      {},
      drop.source &&
        link('Why', `#/why?${of({source: drop.source})}`, {
          'aria-label': `Why ${drop.source} is dropped`,
        }),
      isAllowable &&
        page.mayChange &&
        link(
          'Allow this source',
          `#/rules?${of({database: drop.database, allow: `${drop.source}/32`})}`,
          {'aria-label': `Allow this source, ${drop.source}`},
        ),
    );
  }
}
