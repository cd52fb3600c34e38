// SPDX-License-Identifier: BSD-2-Clause
// What an address gets from each database, and because of what.

import * as api from '../api.js';
import {openRuleDialog} from '../rule-dialog.js';
import {
  alert,
  badge,
  button,
  descriptions,
  element,
  field,
  foreign,
  replace,
  textInput,
} from '../dom.js';
import {ago, number, place} from '../words.js';

export const title = 'Why';

export function mount(page) {
  const source = field(
    'Address',
    textInput({
      name: 'source',
      placeholder: '192.0.2.1',
      maxlength: 60,
      value: page.options.source ?? '',
    }),
    'Of a client, as this host sees it.',
  );
  const answers = element('div', {'aria-live': 'polite'});
  const form = element(
    'form.pf-c-form.moat-inline',
    {onsubmit: ask},
    source.root,
    element('div.pf-c-form__actions', {}, button('Ask', undefined, 'primary', {type: 'submit'})),
  );
  replace(page.root, form, answers);
  if (source.value) page.watch(load, show, refuse);

  function ask(event) {
    event.preventDefault();
    page.go({source: source.value});
  }

  function load() {
    return api.get('/v1/why', {source: page.options.source, database: page.options.database});
  }

  let shown = '';

  function show(answer) {
    source.say('');
    const text = JSON.stringify(answer);
    if (text === shown) return;
    shown = text;
    replace(
      answers,
      answer.answers.map(each => showAnswer(each, page.mayChange)),
    );
  }

  function refuse(refused) {
    shown = '';
    replace(answers);
    if (refused.reason === 'refused')
      source.say([refused.message, refused.remedy].filter(Boolean).join(': '), true);
  }
}

function showAnswer(answer, mayChange) {
  const passes = answer.allowed || answer.monitored;
  const heading = `${answer.source} ${answer.allowed ? 'may reach' : answer.monitored ? 'would be dropped, and passes (monitor mode), at' : 'is dropped at'} ${answer.database}`;
  const facts = [
    ['Because', answer.detail || answer.reason],
    answer.rule && ['Rule', [element('code', {}, answer.rule), ' ', foreign(answer.rule_source)]],
    answer.label && ['Label', foreign(answer.label)],
    answer.place.file && ['Written in', element('code', {}, place(answer.place))],
    ['Generation', number(answer.generation)],
    answer.last_hit && ['Last hit', ago(answer.last_hit)],
    answer.last_drop && ['Last drop', `${ago(answer.last_drop.last)}, ${answer.last_drop.reason}`],
  ].filter(Boolean);
  const warnings = [
    ...answer.elsewhere.map(
      other =>
        `${other.endpoint} is decided by ${other.database}: ${other.allowed ? 'allowed' : 'dropped'}`,
    ),
    answer.trusted_way && `it gets in all the same by the trusted interface ${answer.trusted_way}`,
    answer.table_agrees === false &&
      'the table in force does not say the same as the rules: report this',
  ].filter(Boolean);
  return element(
    'section.pf-c-card.moat-answer',
    {'aria-label': heading},
    element(
      'h2.pf-c-card__title',
      {},
      badge(
        answer.allowed ? 'allowed' : answer.monitored ? 'passes' : 'dropped',
        passes ? 'green' : 'red',
      ),
      ' ',
      heading,
    ),
    element(
      'div.pf-c-card__body',
      {},
      warnings.map(text => alert('warning', text)),
      descriptions(facts),
      !answer.allowed &&
        mayChange &&
        !answer.source.includes(':') &&
        button('Allow this source', () =>
          openRuleDialog({database: answer.database, cidr: `${answer.source}/32`}),
        ),
    ),
  );
}
