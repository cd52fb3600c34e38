// SPDX-License-Identifier: BSD-2-Clause
// What was enforced, by whom it was changed, and how to get back to it.

import * as api from '../api.js';
import {showEnds} from '../announced.js';
import {change, confirmField, tryOut} from '../change.js';
import {openDialog, showRefusal} from '../dialog.js';
import {diffLines} from '../diff.js';
import {Table, button, card, element, foreign, link, replace} from '../dom.js';
import {ago, clock, number} from '../words.js';

export const title = 'History';

export function mount(page) {
  const details = element('div');
  const table = new Table(
    'Generations',
    columns(),
    each => each.generation,
    'No change is in the history yet.',
  );
  let newest;
  replace(page.root, details, card('Generations', table.root));
  page.watch(
    () => api.get('/v1/history'),
    ({generations}) => {
      newest = generations[0]?.generation;
      table.update(generations);
    },
  );
  if (page.options.generation) showDetails(Number(page.options.generation));

  function columns() {
    return [
      {name: 'Generation', number: true, value: each => number(each.generation)},
      {
        name: 'When',
        value: each => [each.time, ago(each.time)],
        show: each => element('span', {title: clock(each.time)}, ago(each.time)),
      },
      {
        name: 'What',
        value: each => [each.cause, each.change],
        show: each => [
          element('p', {}, foreign(each.cause)),
          each.change !== each.cause && element('p', {}, foreign(each.change)),
        ],
      },
      {
        name: 'By',
        value: each => [each.author, each.command],
        show: each => [
          element('p', {}, foreign(each.author)),
          each.command && element('code', {}, foreign(each.command)),
        ],
      },
      {
        name: 'Actions',
        isActions: true,
        value: each => [page.mayChange, each.generation === newest],
        show: showActions,
      },
    ];
  }

  function showActions(each) {
    return element(
      'div.moat-actions',
      {},
      link('Show', `#/history?generation=${each.generation}`, {
        'aria-label': `Show generation ${each.generation}`,
      }),
      page.mayChange &&
        each.generation !== newest &&
        button('Roll back', () => openRollBack(each), 'link', {
          'aria-label': `Roll back to generation ${each.generation}`,
        }),
    );
  }

  async function showDetails(generation) {
    try {
      const now = await api.get(`/v1/history/${generation}`);
      const before = await findBefore(generation);
      replace(
        details,
        card(
          `Generation ${generation}`,
          element('p', {}, clock(now.time), ', ', foreign(now.cause), ', ', foreign(now.author)),
          element(
            'p',
            {},
            before
              ? `What its database files say otherwise than in generation ${before.generation}:`
              : 'Its database files. What was before is not kept.',
          ),
          showFiles(before?.files ?? [], now.files),
        ),
      );
    } catch (refused) {
      if (!(refused instanceof api.Refusal)) throw refused;
      replace(details, showRefusal(refused));
    }
  }
}

async function findBefore(generation) {
  const {generations} = await api.get('/v1/history');
  const before = generations.find(each => each.generation < generation);
  return before && api.get(`/v1/history/${before.generation}`);
}

function showFiles(before, now) {
  const paths = [...new Set([...before, ...now].map(({path}) => path))].sort();
  const textOf = (files, path) => files.find(each => each.path === path)?.text ?? '';
  const changed = paths.filter(path => textOf(before, path) !== textOf(now, path));
  if (changed.length === 0)
    return element('p', {}, 'The same: something else has changed, such as a managed range.');
  return changed.map(path =>
    element(
      'section',
      {'aria-label': path},
      element('h3', {}, element('code', {}, path)),
      element(
        'pre.moat-diff',
        {tabindex: '0'},
        diffLines(textOf(before, path), textOf(now, path)).map(([sign, line]) =>
          element(
            `span.moat-line${{'+': '.moat-added', '-': '.moat-removed'}[sign] ?? ''}`,
            {},
            `${sign} ${line}\n`,
          ),
        ),
      ),
    ),
  );
}

async function openRollBack({generation}) {
  const send = parameters => api.post(`/v1/rollback/${generation}`, parameters);
  const within = confirmField();
  const found = element('div', {'aria-live': 'polite'}, 'Looking for what would change ...');
  let basis = '';
  openDialog(
    `Roll back to generation ${generation}?`,
    [
      element(
        'p',
        {},
        'The database files are written as they were then, with their comments, and enforced as a new generation. Managed ranges stay as they are.',
      ),
      found,
      within.root,
    ],
    [
      {
        text: 'Roll back',
        kind: 'danger',
        run: () =>
          change(send, {
            what: `Rolled back to generation ${generation}`,
            within: within.value,
            basis,
          }),
      },
    ],
  );
  try {
    const preview = (await tryOut(send)).preview;
    basis = preview.basis;
    replace(found, element('p', {}, preview.change || 'No verdict changes.'), showEnds(preview));
  } catch (refused) {
    if (!(refused instanceof api.Refusal)) throw refused;
    replace(found, showRefusal(refused));
  }
}
