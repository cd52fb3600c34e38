// SPDX-License-Identifier: BSD-2-Clause
// The dialogs that add a rule and remove one.

import * as api from './api.js';
import {openAnnouncedDialog} from './announced.js';
import {change, confirmField, receiptTitle, tryOut} from './change.js';
import {openDialog} from './dialog.js';
import {alert, element, field, foreign, replace, select, textInput} from './dom.js';
import {plural} from './words.js';

const checkAfter = 300; // ms without a key

const types = [
  ['cidr', 'Custom CIDR'],
  ['managed_range', 'Managed range'],
  ['net_peering', 'Net peering'],
];

export const expiryHint =
  'Never, unless you write when: 8h, 7d, 2027-01-31 or 2027-01-31T18:00:00Z.';

export const describeSource = rule =>
  rule.cidr || rule.managed_range || rule.net_peering || rule.source;

// `rule`: what is filled in already; has a database.
export async function openRuleDialog(rule) {
  const [{managed_ranges: ranges}, {net_peerings: peerings}] = await Promise.all([
    api.get('/v1/managed-ranges'),
    api.get('/v1/net-peerings', {database: rule.database}),
  ]);
  const form = ruleForm(rule, ranges, peerings);
  const add = async repeats => {
    const wanted = form.read();
    const made = await change(parameters => api.post('/v1/rules', parameters, wanted), {
      what: `${describeSource(wanted)} is allowed to reach ${wanted.database}`,
      within: form.within(),
    });
    if (repeats) form.next(made);
    return !repeats;
  };
  openDialog(`New rule for ${rule.database}`, form.body, [
    {text: 'Add rule', kind: 'primary', run: () => add(false)},
    {text: 'Add, then another', kind: 'secondary', run: () => add(true)},
  ]);
}

// The sources of one type; nothing of a type that there is none of.
function choiceOf(entries, name, hint, none) {
  if (entries.length === 0) return {root: alert('info', none), value: ''};
  const filter = textInput({
    placeholder: 'Part of a name',
    'aria-label': `Find a ${name.toLowerCase()}`,
  });
  const list = select(entries, {
    size: Math.min(8, Math.max(2, entries.length)),
    value: entries[0][0],
  });
  const made = field(name, list, hint);
  filter.addEventListener('input', () => {
    const wanted = filter.value.toLowerCase();
    const left = entries.filter(([, text]) => text.toLowerCase().includes(wanted));
    const chosen = list.value;
    replace(
      list,
      left.map(([value, text]) => element('option', {value}, text)),
    );
    list.value = left.some(([value]) => value === chosen) ? chosen : (left[0]?.[0] ?? '');
    list.dispatchEvent(new Event('input', {bubbles: true}));
  });
  if (entries.length > 8) made.root.insertBefore(filter, list);
  return made;
}

function ruleForm(rule, ranges, peerings) {
  const sources = {
    cidr: field(
      'CIDR',
      textInput({placeholder: '198.51.100.25/32', inputmode: 'decimal', value: rule.cidr ?? ''}),
      'One address is a /32.',
    ),
    managed_range: choiceOf(
      ranges.map(({id, name, prefixes}) => [
        id,
        `${name || id} (${id}, ${plural(prefixes, 'network')})`,
      ]),
      'Managed range',
      'A list of networks that its provider keeps.',
      'No managed range is known on this host.',
    ),
    net_peering: choiceOf(
      peerings.map(({id, cidr, label}) => [id, `${id} (${cidr}${label ? `, ${label}` : ''})`]),
      'Net peering',
      'A private network that is registered for this database.',
      'No net peering is registered for this database.',
    ),
  };
  const label = field('Label', textInput({value: rule.label ?? ''}), 'Whose it is, or what for.');
  const expires = field('Expires', textInput({value: rule.expires ?? ''}), expiryHint);
  const within = confirmField();
  const found = element('div', {'aria-live': 'polite'});
  const radios = types.map(([value, text]) => radio('moat-type', value, text, value === 'cidr'));
  const type = () => radios.find(each => each.input.checked).input.value;
  const source = element('div');
  const body = [
    element(
      'fieldset.pf-c-form__group',
      {},
      element('legend.pf-c-form__label', {}, 'Type'),
      radios.map(each => each.root),
    ),
    source,
    label.root,
    expires.root,
    within.root,
    found,
  ];
  const root = element('div', {oninput: soon}, body);

  function read() {
    const wanted = {database: rule.database, [type()]: sources[type()].value};
    if (label.value) wanted.label = label.value;
    if (expires.value) wanted.expires = expires.value;
    return wanted;
  }

  let timer = 0;
  let asked = 0;

  function soon(event) {
    if (event.target.type === 'radio') replace(source, sources[type()].root);
    window.clearTimeout(timer);
    timer = window.setTimeout(check, checkAfter);
  }

  function forgetChecks() {
    window.clearTimeout(timer);
    ++asked;
  }

  // What moatd makes of it, as it stands. An answer that comes late is about something else.
  async function check() {
    const number = ++asked;
    const wanted = read();
    for (const each of [sources.cidr, label, expires]) each.say('');
    replace(found);
    if (!describeSource(wanted)) return;
    try {
      const {preview, warnings} = await tryOut(parameters =>
        api.post('/v1/rules', parameters, wanted),
      );
      if (number !== asked) return;
      if (type() === 'cidr') sources.cidr.say('moatd takes this.');
      replace(
        found,
        preview.opens.map(text => alert('warning', text)),
        warnings.map(({message, value, remedy}) =>
          alert(
            'warning',
            `${message}${value ? `: ${value}` : ''}`,
            remedy && element('p', {}, remedy),
          ),
        ),
      );
    } catch (refused) {
      if (number !== asked || !(refused instanceof api.Refusal)) return;
      place(refused, wanted);
    }
  }

  // Says it where it belongs: moatd quotes the value that it does not take.
  function place(refused, wanted) {
    const said = [
      refused.message,
      refused.remedy,
      ...refused.faults.map(({message, value, remedy}) =>
        [message, value, remedy].filter(Boolean).join(', '),
      ),
    ]
      .filter(Boolean)
      .join(': ');
    const quoted = value => value && said.includes(value.slice(0, 40));
    const at = quoted(wanted.expires)
      ? expires
      : quoted(wanted.cidr)
        ? sources.cidr
        : /label/i.test(said)
          ? label
          : undefined;
    if (at?.say) at.say(said, true);
    else replace(found, alert('danger', said));
  }

  // Ready for another one. The receipt is behind the dialog.
  function next(made) {
    forgetChecks();
    for (const each of [sources.cidr, label]) {
      each.control.value = '';
      each.say('');
    }
    replace(found, alert('success', receiptTitle(made)));
    (sources[type()].control ?? radios[0].input).focus();
  }

  replace(source, sources.cidr.root);
  if (rule.cidr) check();
  return {body: root, read, next, within: () => within.value};
}

function radio(name, value, text, checked) {
  const id = `${name}-${value}`;
  const input = element('input.pf-c-radio__input', {type: 'radio', name, value, id});
  input.checked = checked;
  return {
    input,
    root: element('div.pf-c-radio', {}, input, element('label.pf-c-radio__label', {for: id}, text)),
  };
}

// ---- Removing ----

export const openRemoveDialog = rule =>
  openAnnouncedDialog('Remove this rule?', {
    text: [
      foreign(rule.source),
      rule.label && [' (', foreign(rule.label), ')'],
      ` may reach ${rule.database} no longer.`,
    ],
    action: 'Remove rule',
    what: `${rule.source} is no longer allowed to reach ${rule.database}`,
    send: parameters =>
      api.remove('/v1/rules', {database: rule.database, id: rule.id, ...parameters}),
  });
