// SPDX-License-Identifier: BSD-2-Clause
// At which addresses and ports databases are reached.

import * as api from '../api.js';
import {Table, alert, badge, card, link, replace, element} from '../dom.js';

export const title = 'Endpoints';

const types = {public: 'Public', 'private-peering': 'Private peering'};

export function mount(page) {
  const unguarded = element('div');
  const table = new Table(
    'Endpoints',
    [
      {
        name: 'Database',
        value: each => each.database,
        show: each => link(each.database, `#/rules?database=${encodeURIComponent(each.database)}`),
      },
      {name: 'Type', value: each => types[each.type] ?? each.type},
      {name: 'Address', value: each => each.address},
      {name: 'Port', number: true, value: each => each.port || 'all'},
      {
        name: 'Status',
        value: each => [each.guarded, each.monitored, each.listening],
        show: showStatus,
      },
      {name: 'ID', value: each => each.id},
    ],
    each => each.id,
    'No database is guarded on this host.',
  );
  replace(page.root, unguarded, card('Endpoints', table.root));
  page.watch(
    () => api.get('/v1/endpoints'),
    answer => {
      const ports = answer.unguarded_ports;
      if (unguarded.dataset.ports !== String(ports)) {
        unguarded.dataset.ports = String(ports);
        replace(
          unguarded,
          ports.length > 0 &&
            alert(
              'info',
              `Something listens for other hosts on TCP ports that no database guards: ${ports.join(', ')}`,
            ),
        );
      }
      table.update(answer.endpoints);
    },
  );
}

function showGuard(each) {
  if (!each.guarded && each.guarded_by.length === 0) {
    return badge('NOT GUARDED', 'red', "There is a way to it that nothing of Moat's judges.");
  }
  if (each.monitored) {
    return badge('monitored', 'orange', 'What the rules would drop is counted and passes.');
  }
  if (each.open_to_all) return badge('open to all', 'red', 'Its rules let every address in.');
  if (!each.guarded) {
    return badge(
      `guarded by ${each.guarded_by.join(', ')} only`,
      'orange',
      'Nothing is dropped of what comes by another interface.',
    );
  }
  return badge('guarded', 'green');
}

function showStatus(each) {
  return [
    showGuard(each),
    ' ',
    badge(each.listening ? 'listening' : 'nothing listens', 'blue'),
  ];
}
