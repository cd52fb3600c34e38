// SPDX-License-Identifier: BSD-2-Clause
// Whether all is well, what is not and what helps, and what guards this host.

import * as api from '../api.js';
import {openAnnouncedDialog} from '../announced.js';
import {orSay} from '../change.js';
import {showFaults} from '../dialog.js';
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
} from '../dom.js';
import {address, ago, clock, duration, number, plural, ports} from '../words.js';

export const title = 'Overview';

const recentChanges = 5;

export function mount(page) {
  const headline = element('div', {'aria-live': 'polite'});
  const problems = element('div');
  const facts = element('div');
  const interfaces = interfaceTable();
  const databases = databaseTable(page);
  const changes = changeTable();
  const pending = element('div');
  replace(
    page.root,
    headline,
    problems,
    card('Databases', databases.root),
    card('Interfaces', interfaces.root, facts),
    card('Last changes', pending, changes.root),
  );
  page.watch(load, show);

  async function load() {
    const [status, {generations}] = await Promise.all([
      api.get('/v1/status'),
      api.get('/v1/history'),
    ]);
    const all = await api.get('/v1/databases').catch(() => ({databases: []}));
    return {status, generations, databases: all.databases};
  }

  let said = '';

  function show({status, generations, databases: all}) {
    const now = JSON.stringify([status.headline, status.problems, status.notices]);
    if (now !== said) {
      said = now;
      replace(headline, alert(status.problems.length > 0 ? 'danger' : 'success', status.headline));
      replace(
        problems,
        listProblems('What is wrong', 'danger', status.problems),
        listProblems('Worth knowing', 'info', status.notices),
      );
    }
    interfaces.update(status.interfaces);
    databases.update(all);
    changes.update(generations.slice(0, recentChanges));
    replace(
      pending,
      describeLast(status),
      status.pending.map(({path, noticed}) =>
        alert('warning', `${path} changed ${ago(noticed)}, and is not enforced yet.`),
      ),
    );
    replace(
      facts,
      descriptions([
        ['Backstop', describeBackstop(status.backstop)],
        ['Generation', `${number(status.generation)}, ${plural(status.prefixes, 'network')}`],
        ['moatd', `${status.version}, since ${clock(status.since)}`],
      ]),
    );
  }
}

function listProblems(title, kind, problems) {
  if (problems.length === 0) return false;
  return card(
    title,
    problems.map(({message, remedy, faults}) =>
      alert(
        kind,
        message,
        remedy && element('p', {}, 'What helps: ', element('code', {}, remedy)),
        showFaults(faults),
      ),
    ),
  );
}

function describeLast({last, bound_ms: bound}) {
  if (!last?.enforced)
    return element('p', {}, `No change since the start of moatd. The bound is ${duration(bound)}.`);
  const took = Date.parse(last.enforced) - Date.parse(last.written);
  return element(
    'p',
    {},
    `The last change took ${duration(took)} from written to enforced (bound ${duration(bound)}), ${ago(last.enforced)}.`,
  );
}

function describeBackstop(backstop) {
  if (!backstop.wanted) return 'off, as configured';
  if (!backstop.at_sockets)
    return backstop.before_sockets ? 'OFF at sockets, on before sockets' : 'OFF';
  return `on at sockets, ${backstop.before_sockets ? 'and' : 'not'} before sockets`;
}

function interfaceTable() {
  return new Table(
    'Interfaces',
    [
      {name: 'Interface', value: each => each.name},
      {name: 'Status', value: each => [each.present, each.mode, each.reason], show: showInterface},
      {name: 'Mode', value: each => each.mode},
      {name: 'Program', number: true, value: each => each.program_id || '-'},
    ],
    each => each.name,
    'moat.yaml names no interface.',
  );
}

function showInterface(each) {
  if (each.mode !== 'none') return badge('guarded', 'green');
  return [
    badge(each.present ? 'NOT GUARDED' : 'absent', 'red'),
    each.reason && element('p', {}, each.reason),
    each.remedy && element('p', {}, each.remedy),
  ];
}

function databaseTable(page) {
  return new Table(
    'Databases',
    [
      {
        name: 'Database',
        value: each => each.id,
        show: each => link(each.id, `#/rules?database=${encodeURIComponent(each.id)}`),
      },
      {name: 'Reached at', value: each => `${ports(each.endpoint)} of ${address(each.endpoint)}`},
      {name: 'Status', value: each => [each.state, each.mode, each.placeholder], show: showState},
      {name: 'Rules', number: true, value: each => number(each.rules)},
      {name: 'Allowed packets', number: true, value: each => number(each.allowed.packets)},
      {name: 'Dropped packets', number: true, value: each => number(each.dropped.packets)},
      {
        name: 'Actions',
        isActions: true,
        value: each => [page.mayChange, each.id, each.mode, each.state],
        show: each => page.mayChange && showActions(each),
      },
    ],
    each => each.id,
    'No rule file names a database.',
  );
}

function showActions(database) {
  const {id, mode, state} = database;
  const isMonitored = mode === 'monitor';
  const act = (text, open) =>
    button(text, () => orSay(open(database)), 'link', {'aria-label': `${text} ${id}`});
  return element(
    'div.moat-actions',
    {},
    state !== 'vanished' && act(isMonitored ? 'Enforce' : 'Monitor', openModeDialog),
    state === 'vanished' && act('Forget', openForgetDialog),
  );
}

function openModeDialog({id, mode}) {
  const wanted = mode === 'monitor' ? 'enforce' : 'monitor';
  const [title, text, action] = {
    enforce: ['Enforce the rules', `What no rule of ${id} allows is dropped from now on.`, 'Enforce'],
    monitor: [
      'Only watch the traffic',
      `Everybody reaches ${id}, and what its rules would drop is counted.`,
      'Monitor',
    ],
  }[wanted];
  return openAnnouncedDialog(`${title} of ${id}?`, {
    text,
    action,
    what: `${id} is in ${wanted} mode`,
    send: parameters =>
      api.patch(`/v1/databases/${encodeURIComponent(id)}`, parameters, {mode: wanted}),
  });
}

const openForgetDialog = ({id, endpoint}) =>
  openAnnouncedDialog(`Forget ${id}?`, {
    text: `Its file is gone. Its guard ends, and with it all its rules: ${ports(endpoint)} is open to everybody whom no other database's rules keep out.`,
    action: 'Forget database',
    what: `${id} is guarded no longer`,
    send: parameters => api.remove(`/v1/databases/${encodeURIComponent(id)}`, parameters),
    lapses: false,
  });

export function showState(each) {
  return [
    each.state !== 'active' && badge(each.state, 'red'),
    each.placeholder &&
      badge(
        'closed to all',
        'red',
        'Its file cannot be used, and nothing was enforced of it before.',
      ),
    badge(
      each.mode,
      each.mode === 'monitor' ? 'orange' : 'green',
      each.mode === 'monitor'
        ? 'Everybody gets in; what the rules would drop is counted.'
        : 'What no rule allows is dropped.',
    ),
  ];
}

function changeTable() {
  return new Table(
    'Last changes',
    [
      {
        name: 'Generation',
        number: true,
        value: each => each.generation,
        show: each => link(number(each.generation), `#/history?generation=${each.generation}`),
      },
      {name: 'When', value: each => ago(each.time)},
      {
        name: 'What',
        value: each => [each.change, each.cause],
        show: each => foreign(each.change || each.cause),
      },
      {name: 'By', value: each => each.author, show: each => foreign(each.author)},
    ],
    each => each.generation,
    'No change is in the history yet.',
  );
}
