// SPDX-License-Identifier: BSD-2-Clause
// Elements made of text, never of markup: what a label or a file says cannot become part of a page.

// element('button.pf-c-button', {type: 'button', onclick: add}, 'Add'). An attribute that is false,
// null or undefined is left out, and so is such a child; arrays of children are flattened.
export function element(description, attributes = {}, ...children) {
  const [name, ...classes] = description.split('.');
  const made = document.createElement(name);
  made.classList.add(...classes);
  for (const [key, value] of Object.entries(attributes)) set(made, key, value);
  made.append(...nodes(children));
  return made;
}

function set(made, key, value) {
  if (value === false || value === null || value === undefined) return;
  if (typeof value === 'function') made.addEventListener(key.slice('on'.length), value);
  else if (key === 'value') made.value = value;
  else made.setAttribute(key, value === true ? '' : value);
}

function nodes(children) {
  return children.flat(Infinity).filter(child => ![false, null, undefined, ''].includes(child));
}

export function replace(parent, ...children) {
  parent.replaceChildren(...nodes(children));
}

// Words that somebody else wrote: their direction and length are kept from what is around them.
export function foreign(text) {
  return element('bdi.moat-foreign', {dir: 'auto'}, text);
}

export function button(text, onclick, kind = 'secondary', attributes = {}) {
  return element(`button.pf-c-button.pf-m-${kind}`, {type: 'button', onclick, ...attributes}, text);
}

export function link(text, href, attributes = {}) {
  return element('a', {href, ...attributes}, text);
}

// A coloured word, which says the same without its colour.
export function badge(text, colour, title) {
  return element(
    `span.pf-c-label.pf-m-${colour}`,
    {title},
    element('span.pf-c-label__content', {}, text),
  );
}

export function alert(kind, title, ...body) {
  const spoken = {danger: 'Error: ', warning: 'Warning: ', success: 'Done: ', info: ''}[kind];
  return element(
    `div.pf-c-alert.pf-m-inline.pf-m-${kind}`,
    {},
    element(
      'div.pf-c-alert__icon',
      {'aria-hidden': 'true'},
      {danger: '✖', warning: '⚠', success: '✔'}[kind] ?? 'ℹ',
    ),
    element(
      'p.pf-c-alert__title',
      {},
      spoken && element('span.pf-u-screen-reader', {}, spoken),
      title,
    ),
    body.length > 0 && element('div.pf-c-alert__description', {}, body),
  );
}

export function card(title, ...body) {
  return element(
    'section.pf-c-card',
    {'aria-label': title},
    element('h2.pf-c-card__title', {}, title),
    element('div.pf-c-card__body', {}, body),
  );
}

// Names beside what they name: [['Backstop', 'on'], ...].
export function descriptions(entries) {
  return element(
    'dl.pf-c-description-list',
    {},
    entries.map(([name, value]) =>
      element(
        'div.pf-c-description-list__group',
        {},
        element('dt.pf-c-description-list__term', {}, name),
        element('dd.pf-c-description-list__description', {}, value),
      ),
    ),
  );
}

let lastId = 0;

// A control with its name, and what is said about it below: `say(text, isWrong)`.
export function field(name, control, hint = '') {
  const id = `moat-field-${++lastId}`;
  control.id = id;
  control.setAttribute('aria-describedby', `${id}-said`);
  const said = element('p.pf-c-form__helper-text', {id: `${id}-said`, 'aria-live': 'polite'}, hint);
  const root = element(
    'div.pf-c-form__group',
    {},
    element('label.pf-c-form__label', {for: id}, name),
    control,
    said,
  );
  const say = (text, isWrong = false) => {
    const wanted = text || hint;
    if (said.textContent !== wanted) said.textContent = wanted;
    said.classList.toggle('pf-m-error', isWrong);
    control.toggleAttribute('aria-invalid', isWrong);
    if (isWrong) control.setAttribute('aria-invalid', 'true');
  };
  return {
    root,
    control,
    say,
    get value() {
      return control.value.trim();
    },
  };
}

export function textInput(attributes = {}) {
  return element('input.pf-c-form-control', {
    type: 'text',
    autocomplete: 'off',
    spellcheck: 'false',
    ...attributes,
  });
}

// Choices as [[value, text], ...].
export function select(choices, attributes = {}) {
  const made = element(
    'select.pf-c-form-control',
    attributes,
    choices.map(([value, text]) => element('option', {value}, text)),
  );
  if ('value' in attributes) made.value = attributes.value;
  return made;
}

// A table that keeps its rows. Only cells whose value has changed are made anew, so that focus, a
// selection and what somebody types in a row outlive each update.
// The roles are a table's own, which it would lose where a narrow window shows its rows as blocks.
//   columns: {name, value(row), show(row), number}: `value` is what the cell depends on, and what it
//   shows without `show`
export class Table {
  #columns;
  #key;
  #body = element('tbody', {role: 'rowgroup'});
  #rows = new Map();
  #empty;

  constructor(caption, columns, key, empty) {
    this.#columns = columns;
    this.#key = key;
    this.#empty = element('p.pf-c-empty-state', {hidden: true}, empty);
    const head = element(
      'tr',
      {role: 'row'},
      columns.map(column =>
        element(
          `th${column.number ? '.moat-number' : ''}`,
          {scope: 'col', role: 'columnheader'},
          column.isActions ? element('span.pf-u-screen-reader', {}, column.name) : column.name,
        ),
      ),
    );
    this.table = element(
      'table.pf-c-table.pf-m-grid-md.pf-m-compact',
      {role: 'table', hidden: true},
      element('caption.pf-u-screen-reader', {}, caption),
      element('thead', {role: 'rowgroup'}, head),
      this.#body,
    );
    this.root = element('div.moat-table', {}, this.table, this.#empty);
  }

  update(rows) {
    const kept = new Set();
    let before = this.#body.firstElementChild;
    for (const row of rows) {
      const key = this.#key(row);
      kept.add(key);
      const shown = this.#rows.get(key) ?? this.#add(key);
      this.#fill(shown, row);
      if (shown.root === before) before = before.nextElementSibling;
      else this.#body.insertBefore(shown.root, before);
    }
    for (const [key, shown] of this.#rows) {
      if (kept.has(key)) continue;
      shown.root.remove();
      this.#rows.delete(key);
    }
    this.table.hidden = rows.length === 0;
    this.#empty.hidden = rows.length !== 0;
  }

  // A row goes on showing what it is told until it is released: for one that is being edited.
  hold(key, ...cells) {
    const shown = this.#rows.get(key);
    shown.isHeld = true;
    shown.cells.forEach((cell, i) => cells[i] && replace(cell, cells[i]));
  }

  release(key) {
    const shown = this.#rows.get(key);
    if (!shown) return;
    shown.isHeld = false;
    shown.values = [];
    this.#fill(shown, shown.row);
  }

  // The focus goes to what matches `selector` in that row, if it is still there.
  focus(key, selector) {
    this.#rows.get(key)?.root.querySelector(selector)?.focus();
  }

  #add(key) {
    const cells = this.#columns.map(column =>
      element(`td${column.number ? '.moat-number' : ''}`, {
        role: 'cell',
        'data-label': column.name,
      }),
    );
    const shown = {root: element('tr', {role: 'row'}, cells), cells, values: [], isHeld: false};
    this.#rows.set(key, shown);
    return shown;
  }

  #fill(shown, row) {
    shown.row = row;
    if (shown.isHeld) return;
    this.#columns.forEach((column, i) => {
      const value = JSON.stringify(column.value(row));
      if (shown.values[i] === value) return;
      shown.values[i] = value;
      replace(shown.cells[i], column.show ? column.show(row) : String(column.value(row)));
    });
  }
}
