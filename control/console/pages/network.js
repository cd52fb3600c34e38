// SPDX-License-Identifier: BSD-2-Clause
// What clients need to know of each database's network.

import * as api from '../api.js';
import {Table, card, replace} from '../dom.js';
import {address, ports} from '../words.js';

export const title = 'Network configuration';

export function mount(page) {
  const addresses = new Table(
    'Addresses',
    [
      {name: 'Database', value: each => each.database},
      {name: 'Guarded', value: each => `${ports(each.endpoint)} of ${address(each.endpoint)}`},
      {name: 'Interface', value: each => each.interface},
      {name: 'Address', value: each => each.address},
      {name: 'Network', value: each => each.network},
    ],
    each => `${each.database} ${each.interface} ${each.address}`,
    'The host has no address at which a database is reached.',
  );
  const peers = new Table(
    'Peered networks',
    [
      {name: 'Database', value: each => each.database},
      {name: 'Net peering', value: each => each.net_peering},
      {name: 'CIDR', value: each => each.cidr},
      {name: 'Route by', value: each => each.interface || 'no route'},
      {name: 'Address', value: each => each.address || '-'},
    ],
    each => `${each.database} ${each.net_peering}`,
    'No net peering is registered.',
  );
  replace(
    page.root,
    card('Where databases are heard', addresses.root),
    card('Peered networks', peers.root),
  );
  page.watch(
    () => api.get('/v1/network-configuration'),
    ({databases}) => {
      addresses.update(databases.flatMap(each => each.addresses.map(at => ({...each, ...at}))));
      peers.update(
        databases.flatMap(({database, peers: all}) => all.map(each => ({database, ...each}))),
      );
    },
  );
}
