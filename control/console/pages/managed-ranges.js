// SPDX-License-Identifier: BSD-2-Clause
// The lists of networks that providers keep, and which databases' rules name them.

import * as api from '../api.js';
import {change, orSay, say} from '../change.js';
import {openDialog} from '../dialog.js';
import {
  Table,
  alert,
  badge,
  button,
  card,
  descriptions,
  element,
  foreign,
  link,
  replace,
  textInput,
} from '../dom.js';
import {ago, clock, number, plural} from '../words.js';

export const title = 'Managed ranges';

const maxShown = 1000; // CIDRs of one range

export function mount(page) {
  const details = element('div');
  const table = new Table(
    'Managed ranges',
    [
      {
        name: 'ID',
        value: each => each.id,
        show: each => link(each.id, `#/managed-ranges?id=${encodeURIComponent(each.id)}`),
      },
      {name: 'Name', value: each => each.name, show: each => foreign(each.name)},
      {name: 'Networks', number: true, value: each => number(each.prefixes)},
      {name: 'Changed', value: each => ago(each.changed)},
      {
        name: 'Checked',
        value: each => each.source && ago(each.source.fetched),
        show: each => (each.source ? ago(each.source.fetched) : '-'),
      },
      {name: 'Used by', value: each => each.used_by.join(', ') || '-'},
      {name: 'Last version', value: describeVersion},
      {
        name: 'Status',
        value: each => [
          each.withdrawn,
          each.held_version,
          each.held_down_prefixes,
          each.source?.stale,
          each.source?.error,
        ],
        show: showStatus,
      },
      {
        name: 'Actions',
        isActions: true,
        value: each => [page.mayChange, each.held_version, Boolean(each.source)],
        show: each => page.mayChange && showActions(each),
      },
    ],
    each => each.id,
    'No file names a managed range.',
  );
  replace(page.root, details, card('Managed ranges', table.root));
  let digest = '';
  page.watch(load, answer => table.update(answer));

  async function load() {
    const {managed_ranges: ranges} = await api.get('/v1/managed-ranges');
    const named = ranges.find(({id}) => id === page.options.id);
    if (named && named.digest !== digest) {
      // asked only then, as it may be long
      showRange(details, await api.get(`/v1/managed-ranges/${encodeURIComponent(named.id)}`));
      digest = named.digest;
    }
    return ranges;
  }
}

// "2 h ago, 3 added, 1 removed"
function describeVersion(range) {
  if (!range.enforced_at) return '-';
  const {enforced_at: since, added, removed} = range;
  return `${ago(since)}, ${number(added)} added, ${number(removed)} removed`;
}

function showActions(range) {
  return element(
    'div.moat-actions',
    {},
    range.source &&
      button('Refresh', () => orSay(refresh(range)), 'link', {'aria-label': `Refresh ${range.id}`}),
    range.held_version &&
      button('Accept', () => openAcceptDialog(range), 'secondary', {
        'aria-label': `Accept the new version of ${range.id}`,
      }),
  );
}

async function refresh({id, source}) {
  await api.post(`/v1/refresh/${encodeURIComponent(id)}`);
  say(alert('info', `moat-agent asks ${source.source} for ${id} now.`));
}

function showStatus(range) {
  const withdrawn =
    'Its provider has taken it out while rules name it: its last networks stay allowed.';
  return [
    range.withdrawn ? badge('withdrawn', 'red', withdrawn) : badge('active', 'green'),
    range.source?.stale && [' ', badge('stale', 'red', 'It was not checked for too long.')],
    range.source?.error && [
      ' ',
      badge('failing', 'orange', 'The last try to fetch it failed: the last good list stays.'),
      element('p', {}, foreign(range.source.error)),
    ],
    range.held_version && [
      ' ',
      badge('a version is held back', 'red'),
      element('p', {}, foreign(range.held_version.change)),
    ],
    range.held_down_prefixes > 0 &&
      element(
        'p',
        {},
        `${plural(range.held_down_prefixes, 'network')} left it and may still connect.`,
      ),
  ];
}

// Which version is meant is told by its digest: another one that comes meanwhile is not accepted.
function openAcceptDialog({id, held_version: held}) {
  const send = parameters =>
    api.patch(`/v1/managed-ranges/${encodeURIComponent(id)}`, parameters, {digest: held.digest});
  const explained = `The version that its file has now, of ${plural(held.prefixes, 'network')}, `;
  openDialog(
    `Accept the new version of ${id}?`,
    element('p', {}, explained, foreign(held.change), '.'),
    [{text: 'Accept', kind: 'danger', run: () => change(send, {what: `New version of ${id}`})}],
  );
}

function describeSource(source) {
  if (!source) return [];
  return [
    ['Source', foreign(source.source)],
    ['Version', foreign(source.version || '-')],
    ['Next try', source.next ? clock(source.next) : 'at once'],
    ...(source.note ? [['Note', foreign(source.note)]] : []),
  ];
}

function showRange(details, range) {
  const filter = textInput({
    'aria-label': 'CIDR contains',
    placeholder: 'Part of a CIDR',
    oninput: show,
  });
  const list = element('ul.moat-cidrs');
  const said = element('p.moat-count');
  replace(
    details,
    card(
      range.id,
      descriptions([
        ['Name', foreign(range.name)],
        ['File', element('code', {}, range.path)],
        ...describeSource(range.source),
      ]),
      filter,
      said,
      list,
    ),
  );
  show();

  function show() {
    const fit = range.cidrs.filter(cidr => cidr.includes(filter.value.trim()));
    said.textContent =
      fit.length > maxShown
        ? `the first ${number(maxShown)} of ${number(fit.length)} networks`
        : plural(fit.length, 'network');
    replace(
      list,
      fit.slice(0, maxShown).map(cidr => element('li', {}, cidr)),
    );
  }
}
