// SPDX-License-Identifier: BSD-2-Clause
// Changes of which is said what they would do before they are made.

import * as api from './api.js';
import {change, confirmField, tryOut} from './change.js';
import {openDialog} from './dialog.js';
import {alert, element, replace} from './dom.js';
import {plural} from './words.js';

// `send` makes the change, `what` tells it, `text` and `action` are what the dialog says and its
// button. What is made is what was announced: moatd refuses it if something has changed since.
// `lapses`: it can be made so that it is undone unless it is confirmed.
export async function openAnnouncedDialog(
  title,
  {text, action, kind = 'danger', what, send, lapses = true},
) {
  const within = lapses ? confirmField() : {root: '', value: ''};
  let basis = '';
  const found = element('div', {'aria-live': 'polite'}, 'Looking for what it would do ...');
  openDialog(
    title,
    [element('p', {}, text), found, within.root],
    [{text: action, kind, run: () => change(send, {what, within: within.value, basis})}],
  );
  try {
    const {preview} = await tryOut(send);
    basis = preview.basis;
    replace(found, showEnds(preview));
  } catch (refused) {
    if (!(refused instanceof api.Refusal)) throw refused;
    replace(found, alert('danger', refused.message, refused.remedy));
  }
}

// Which sessions a change would end, and what it would open.
export function showEnds(preview) {
  const opens = preview.opens.map(text => alert('warning', text));
  if (preview.ends.length === 0) return [opens, element('p', {}, 'No session would end.')];
  const peers = new Map();
  for (const {peer, database} of preview.ends) {
    const key = `${peer} (${database})`;
    peers.set(key, (peers.get(key) ?? 0) + 1);
  }
  return [
    opens,
    alert(
      'warning',
      `${plural(preview.ends.length, 'session')} would end`,
      element(
        'ul.pf-c-list',
        {},
        [...peers].map(([peer, count]) =>
          element('li', {}, `${peer}${count === 1 ? '' : `, ${plural(count, 'session')}`}`),
        ),
      ),
    ),
  ];
}
