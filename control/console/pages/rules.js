// SPDX-License-Identifier: BSD-2-Clause
// Who may reach a database: its rules, each with what it lets in.

import * as api from '../api.js';
import {change, orSay} from '../change.js';
import {showRefusal} from '../dialog.js';
import {expiryHint, openRemoveDialog, openRuleDialog} from '../rule-dialog.js';
import {Table, badge, button, element, foreign, replace, select, textInput} from '../dom.js';
import {ago, clock, expiry, number, plural, ports} from '../words.js';

export const title = 'Internet access';

const maxRules = 30; // a database, see LIMITS in moat.yaml(5)

const types = {cidr: 'CIDR', 'managed-range': 'Managed range', 'net-peering': 'Net peering'};

const states = {
  active: ['green', 'It lets its source in.'],
  expired: ['orange', 'Its time is over: it lets nobody in.'],
  'held-back': ['red', 'It lets its source in. The file has errors: this rule is of its last version without any.'],
  vanished: ['red', 'It lets its source in. The file was deleted: this rule is of its last version.'],
};

export function mount(page) {
  const head = element('div.moat-toolbar');
  const count = element('p.moat-count');
  const add = button('New rule', () => orSay(openRuleDialog({database: database()})), 'primary', {
    hidden: true,
  });
  const choice = select([], {
    name: 'database',
    'aria-label': 'Database',
    hidden: true,
    onchange: () => page.go({database: choice.value}),
  });
  const where = element('p.moat-where');
  const table = new Table(
    'Firewall rules',
    columns(),
    rule => `${rule.database} ${rule.id}`,
    'No rules: nobody may reach this database.',
  );
  let databases = [];
  let editor;

  const database = () => page.options.database ?? databases[0]?.id ?? '';

  replace(
    page.root,
    element(
      'section.pf-c-card',
      {'aria-labelledby': 'moat-rules'},
      element(
        'div.moat-toolbar',
        {},
        element('h2.pf-c-card__title', {id: 'moat-rules'}, 'Firewall rules'),
        count,
        add,
      ),
      element('div.pf-c-card__body', {}, head, table.root),
    ),
  );
  replace(head, choice, where);
  page.watch(load, show);
  if (page.options.allow) {
    orSay(openRuleDialog({database: page.options.database, cidr: page.options.allow}));
    page.go({database: page.options.database});
  }

  async function load() {
    const {databases: all} = await api.get('/v1/databases');
    const of = {database: page.options.database ?? all[0]?.id};
    if (!of.database) return {all, rules: [], sessions: []};
    const [{rules}, {sessions}] = await Promise.all([
      api.get('/v1/rules', of),
      api.get('/v1/sessions', of),
    ]);
    return {all, rules, sessions};
  }

  function show({all, rules, sessions}) {
    if (JSON.stringify(all.map(({id}) => id)) !== JSON.stringify(databases.map(({id}) => id)))
      replace(
        choice,
        all.map(({id}) => element('option', {value: id}, id)),
      );
    databases = all;
    choice.value = database();
    choice.hidden = all.length < 2;
    const shown = all.find(({id}) => id === database());
    where.textContent = shown ? describeDatabase(shown) : 'No database is guarded on this host.';
    count.textContent = shown ? `${shown.rules} of ${maxRules} rules` : '';
    add.hidden = !page.mayChange || !shown;
    const now = new Map();
    for (const {rule} of sessions) now.set(rule, (now.get(rule) ?? 0) + 1);
    table.update(rules.map(rule => ({...rule, sessions: now.get(rule.id) ?? 0})));
  }

  function columns() {
    return [
      {name: 'Type', value: rule => types[rule.type] ?? rule.type},
      {name: 'Source', value: rule => [rule.source, rule.type, rule.prefixes], show: showSource},
      {name: 'Label', value: rule => rule.label, show: rule => foreign(rule.label)},
      {
        name: 'Expires',
        value: rule => [rule.expires, expiry(rule.expires)],
        show: rule =>
          element(
            'span',
            {title: rule.expires ? clock(rule.expires) : false},
            expiry(rule.expires),
          ),
      },
      {
        name: 'Status',
        value: rule => rule.state,
        show: rule => badge(rule.state, ...states[rule.state]),
      },
      {name: 'Hits', number: true, value: rule => number(rule.hits.packets)},
      {name: 'Last hit', value: rule => ago(rule.last_hit)},
      {name: 'Sessions now', number: true, value: rule => number(rule.sessions)},
      {name: 'Actions', isActions: true, value: rule => [page.mayChange, rule], show: showActions},
    ];
  }

  function showActions(rule) {
    if (!page.mayChange) return [];
    const of = `rule ${rule.source}`;
    return element(
      'div.moat-actions',
      {},
      button('Edit', () => edit(rule), 'link', {'aria-label': `Edit ${of}`}),
      button('Remove', () => orSay(openRemoveDialog(rule)), 'link', {'aria-label': `Remove ${of}`}),
    );
  }

  // Label and end, in the row.
  function edit(rule) {
    editor?.();
    const key = `${rule.database} ${rule.id}`;
    const label = textInput({'aria-label': 'Label', value: rule.label});
    const expires = textInput({
      'aria-label': 'Expires',
      title: expiryHint,
      placeholder: 'never',
      value: rule.expires ?? '',
    });
    const said = element('div', {'aria-live': 'assertive'});
    const keys = event => {
      if (event.key === 'Enter') save();
      if (event.key === 'Escape') end();
    };
    for (const input of [label, expires]) input.addEventListener('keydown', keys);
    table.hold(
      key,
      undefined,
      undefined,
      [label, said],
      expires,
      undefined,
      undefined,
      undefined,
      undefined,
      element(
        'div.moat-actions',
        {},
        button('Save', save, 'primary'),
        button('Cancel', () => end(), 'link'),
      ),
    );
    editor = end;
    label.focus();

    function end() {
      editor = undefined;
      table.release(key);
      table.focus(key, 'button');
    }

    async function save() {
      const wanted = {};
      if (label.value.trim() !== rule.label) wanted.label = label.value.trim();
      if (expires.value.trim() !== (rule.expires ?? ''))
        wanted.expires = expires.value.trim() || 'never';
      if (Object.keys(wanted).length === 0) return end();
      try {
        await change(
          parameters =>
            api.patch('/v1/rules', {database: rule.database, id: rule.id, ...parameters}, wanted),
          {what: `Rule ${rule.source} of ${rule.database} edited`},
        );
        end();
      } catch (refused) {
        if (!(refused instanceof api.Refusal)) throw refused;
        replace(said, showRefusal(refused));
      }
    }
  }
}

function describeDatabase(database) {
  const where = database.endpoint.address ? ` of ${database.endpoint.address}` : '';
  const mode =
    database.mode === 'monitor'
      ? ' Monitor mode: everybody gets in, and what the rules would drop is counted.'
      : '';
  const state = {
    active: database.placeholder ? ' Closed to all: its file cannot be used.' : '',
    'held-back': ' Its file has errors: these are its last good rules.',
    vanished: ' Its file is gone: these are its last rules.',
  }[database.state];
  return `${database.id} is reached at ${ports(database.endpoint)}${where}.${mode}${state ?? ''}`;
}

function showSource(rule) {
  if (rule.type === 'cidr') return element('span.moat-cidr', {}, rule.source);
  const text = foreign(rule.source);
  const what =
    rule.type === 'managed-range'
      ? element('a', {href: `#/managed-ranges?id=${encodeURIComponent(rule.source)}`}, text)
      : text;
  return [what, ` (${plural(rule.prefixes, 'network')})`];
}
