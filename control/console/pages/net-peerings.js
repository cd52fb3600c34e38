// SPDX-License-Identifier: BSD-2-Clause
// Private networks that are registered for a database, so that its rules can name them.

import * as api from '../api.js';
import {change, orSay} from '../change.js';
import {openDialog} from '../dialog.js';
import {
  Table,
  badge,
  button,
  card,
  element,
  field,
  foreign,
  replace,
  select,
  textInput,
} from '../dom.js';
import {number} from '../words.js';

export const title = 'Net peerings';

const states = {
  active: ['green', 'A rule lets it in.'],
  'no-rule': ['orange', 'It is registered, and no rule lets it in.'],
  'no-route': ['red', 'What this host sends to it leads nowhere.'],
};

export function mount(page) {
  const add = button('Register a net peering', () => orSay(openAddDialog()), 'primary');
  const table = new Table(
    'Net peerings',
    [
      {name: 'ID', value: each => each.id},
      {name: 'Database', value: each => each.database},
      {name: 'CIDR', value: each => each.cidr},
      {name: 'Account', value: each => each.account, show: each => foreign(each.account)},
      {name: 'Label', value: each => each.label, show: each => foreign(each.label)},
      {
        name: 'Status',
        value: each => each.state,
        show: each => badge(each.state, ...(states[each.state] ?? ['blue'])),
      },
      {
        name: 'Route by',
        value: each => (each.interface ? `${each.interface}, from ${each.address}` : '-'),
      },
      {name: 'Hits', number: true, value: each => number(each.hits.packets)},
      {
        name: 'Actions',
        isActions: true,
        value: each => [page.mayChange, each.id],
        show: showActions,
      },
    ],
    each => `${each.database} ${each.id}`,
    'No net peering is registered.',
  );
  replace(
    page.root,
    card(
      'Net peerings',
      element(
        'div.moat-toolbar',
        {},
        element('p.moat-where', {}, 'A net peering lets nobody in until a rule names it.'),
        add,
      ),
      table.root,
    ),
  );
  add.hidden = !page.mayChange;
  page.watch(
    () => api.get('/v1/net-peerings'),
    answer => table.update(answer.net_peerings),
  );

  function showActions(each) {
    return (
      page.mayChange &&
      element(
        'div.moat-actions',
        {},
        button('Remove', () => openRemoveDialog(each), 'link', {
          'aria-label': `Remove net peering ${each.id}`,
        }),
      )
    );
  }
}

async function openAddDialog() {
  const {databases} = await api.get('/v1/databases');
  const database = field('Database', select(databases.map(({id}) => [id, id])));
  const fields = {
    id: field('ID', textInput({placeholder: 'pcx-123456789'})),
    cidr: field('CIDR', textInput({placeholder: '10.42.0.0/16'}), 'The peered network.'),
    account: field('Account', textInput(), 'Whose network it is.'),
    label: field('Label', textInput()),
  };
  openDialog(
    'Register a net peering',
    [database.root, Object.values(fields).map(each => each.root)],
    [
      {
        text: 'Register',
        kind: 'primary',
        run: () => {
          const wanted = {database: database.value};
          for (const [name, each] of Object.entries(fields))
            if (each.value) wanted[name] = each.value;
          return change(parameters => api.post('/v1/net-peerings', parameters, wanted), {
            what: `Net peering ${wanted.id} of ${wanted.database} registered: a rule has to name it`,
          });
        },
      },
    ],
  );
}

function openRemoveDialog({database, id, cidr}) {
  openDialog(
    'Remove this net peering?',
    element('p', {}, `${id} (${cidr}) of ${database}. Refused while a rule names it.`),
    [
      {
        text: 'Remove net peering',
        kind: 'danger',
        run: () =>
          change(parameters => api.remove('/v1/net-peerings', {database, id, ...parameters}), {
            what: `Net peering ${id} of ${database} removed`,
          }),
      },
    ],
  );
}
