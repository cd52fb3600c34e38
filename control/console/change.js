// SPDX-License-Identifier: BSD-2-Clause
// Changes: each is told with its receipt, and can be undone. One that is to be confirmed is undone
// by moatd unless somebody confirms it in time.

import * as api from './api.js';
import * as live from './live.js';
import {showFaults, showRefusal} from './dialog.js';
import {alert, button, element, field, textInput} from './dom.js';
import {duration, plural} from './words.js';

const trialKey = 'moat-trial';
const receipts = document.getElementById('receipts');
const maxReceipts = 2;

// ---- What is to be confirmed ----

// A field for the time within which a change has to be confirmed; empty: it stays as it is made.
export function confirmField() {
  const input = textInput({placeholder: 'stays without', list: 'moat-times', maxlength: 20});
  const made = field(
    'Undo unless confirmed within',
    input,
    'Such as 60s or 5m: if the change locks you out, it goes by itself.',
  );
  made.root.append(
    element(
      'datalist',
      {id: 'moat-times'},
      ['30s', '60s', '5m'].map(value => element('option', {value})),
    ),
  );
  return made;
}

const ownTrial = () => window.sessionStorage.getItem(trialKey) ?? '';

export async function confirm() {
  await api.post('/v1/confirm');
  window.sessionStorage.removeItem(trialKey);
  say(alert('success', 'Confirmed: the change stays.'));
  live.refresh();
}

export const undoTrial = () => change(() => api.remove('/v1/trial'), {what: 'Undone'});

async function startTrial(within) {
  const {id} = await api.post('/v1/trial', {within});
  window.sessionStorage.setItem(trialKey, id);
}

// Of a change that was not made: nothing is to be undone.
async function dropTrial() {
  await api.post('/v1/confirm').catch(() => undefined);
  window.sessionStorage.removeItem(trialKey);
}

// ---- What is made ----

// Makes a change by `send`, which gets the arguments that are common to all edits, and tells what
// became of it. `within`: it is undone unless it is confirmed within that time. `basis`: of the
// preview that somebody agreed to.
export async function change(send, {what, within = '', basis = ''}) {
  if (within) await startTrial(within);
  let made;
  try {
    made = await send({trial: ownTrial(), basis});
  } catch (refused) {
    if (within) await dropTrial();
    throw refused;
  }
  if (within && made.unchanged) await dropTrial();
  showReceipt(what, made, within);
  live.refresh();
  return made;
}

// What `send` would do, without doing it: the answer's `preview`.
export const tryOut = send => send({'dry-run': '1', trial: ownTrial()});

// Of the trial that the status tells, or of none.
export function forgetEndedTrial(trial) {
  if (!trial) window.sessionStorage.removeItem(trialKey);
}

// ---- Receipts ----

export function receiptTitle(made) {
  if (made.unchanged) return made.unchanged;
  if (made.enforced && made.monitored.length > 0) {
    return `generation ${made.generation} in force in ${duration(made.took_ms)}; monitor mode, so nothing is dropped: ${made.monitored.join(', ')}`;
  }
  if (made.enforced) return `generation ${made.generation} enforced in ${duration(made.took_ms)}`;
  return 'accepted, but not enforced yet: moatd goes on trying';
}

export function describeEnded(made) {
  const peers = made.ended.map(
    ({peer, database, sessions}) =>
      `${peer} (${database}${sessions === 1 ? '' : `, ${plural(sessions, 'session')}`})`,
  );
  return `${plural(made.ended_sessions, 'session')} ended: ${peers.join(', ')}`;
}

function showReceipt(what, made, within) {
  const box = alert(
    made.enforced ? 'success' : 'warning',
    receiptTitle(made),
    element('p', {}, what),
    made.why_not && element('p', {}, made.why_not),
    made.ended_sessions > 0 && element('p', {}, describeEnded(made)),
    showFaults(made.warnings),
  );
  if (made.enforced && !made.unchanged && !within && !ownTrial()) {
    const undo = button('Undo', () => undoGeneration(made.generation, box), 'link');
    box.append(element('div.pf-c-alert__action-group', {}, undo));
  }
  say(box);
}

// As long as nothing else has changed since, as that would be undone too.
async function undoGeneration(generation, box) {
  try {
    const {generations} = await api.get('/v1/history');
    const at = generations.findIndex(each => each.generation === generation);
    if (at !== 0 || generations.length < 2) {
      throw new api.Refusal('refused', {
        message: `not undone: something else has changed since generation ${generation}`,
        remedy: 'History shows what, and rolls back to any generation.',
      });
    }
    const before = generations[1].generation;
    await change(parameters => api.post(`/v1/rollback/${before}`, parameters), {
      what: `Rolled back to generation ${before}`,
    });
    box.remove();
  } catch (refused) {
    if (!(refused instanceof api.Refusal)) throw refused;
    say(showRefusal(refused));
  }
}

// Shows a message above the page, with a button that takes it away.
export function say(box) {
  box.append(
    element(
      'div.pf-c-alert__action',
      {},
      button('✕', () => box.remove(), 'plain', {'aria-label': 'Close this message'}),
    ),
  );
  receipts.prepend(box);
  box.scrollIntoView({block: 'nearest'});
  while (receipts.children.length > maxReceipts) receipts.lastElementChild.remove();
}

// All but the latest, once one goes on to another page.
export function dropOldMessages() {
  while (receipts.children.length > 1) receipts.lastElementChild.remove();
}

export async function orSay(made) {
  try {
    return await made;
  } catch (refused) {
    if (!(refused instanceof api.Refusal)) throw refused;
    say(showRefusal(refused));
    return undefined;
  }
}
