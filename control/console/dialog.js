// SPDX-License-Identifier: BSD-2-Clause
// Dialogs, as the browser has them: they keep the keyboard inside, end with Escape, and give the
// focus back to where it was.

import {alert, button, element, replace} from './dom.js';
import {Refusal} from './api.js';

let lastId = 0;

// Opens a dialog with `body` and a button for each of `actions`: {text, kind, run}. It closes when
// what `run` returns has resolved to anything but false; a Refusal of it is shown, and the dialog stays.
export function openDialog(title, body, actions) {
  const id = `moat-dialog-${++lastId}`;
  const refused = element('div', {'aria-live': 'assertive'});
  // The first is what Enter does.
  const buttons = actions.map(({text, kind, run}, at) =>
    at === 0
      ? button(text, undefined, kind, {type: 'submit', form: `${id}-form`})
      : button(text, () => carryOut(run), kind),
  );
  const form = element(
    'form.pf-c-form',
    {id: `${id}-form`, onsubmit: submit, novalidate: true},
    body,
  );
  const dialog = element(
    'dialog.pf-c-modal-box',
    {'aria-labelledby': id, onclose: () => dialog.remove()},
    element('h2.pf-c-modal-box__title', {id}, title),
    element('div.pf-c-modal-box__body', {}, refused, form),
    element(
      'footer.pf-c-modal-box__footer',
      {},
      buttons,
      button('Cancel', () => dialog.close(), 'link'),
    ),
  );

  function submit(event) {
    event.preventDefault();
    carryOut(actions[0].run);
  }

  async function carryOut(run) {
    for (const each of buttons) each.disabled = true;
    replace(refused);
    try {
      if ((await run()) !== false) dialog.close();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      replace(refused, showRefusal(error));
    } finally {
      for (const each of buttons) each.disabled = false;
    }
  }

  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

// What a dialog is about is gone with its page.
export function closeDialogs() {
  for (const dialog of document.querySelectorAll('dialog')) dialog.close();
}

// What moatd says against it, in its own words.
export function showRefusal(refused) {
  return alert(
    'danger',
    refused.message,
    refused.remedy && element('p', {}, refused.remedy),
    showFaults(refused.faults),
  );
}

export function showFaults(faults = []) {
  if (faults.length === 0) return false;
  return element(
    'ul.pf-c-list',
    {},
    faults.map(({place, message, value, remedy}) =>
      element(
        'li',
        {},
        element(
          'code',
          {},
          place.line ? `${place.file}:${place.line}:${place.column}` : place.file,
        ),
        ` ${message}${value ? `: ${value}` : ''}`,
        remedy && element('p', {}, remedy),
      ),
    ),
  );
}
