// SPDX-License-Identifier: BSD-2-Clause
// The frame of the pages: navigation, what is said on all of them, and which one is shown.
/* global cockpit */

import * as api from './api.js';
import * as live from './live.js';
import {confirm, dropOldMessages, forgetEndedTrial, orSay, undoTrial} from './change.js';
import {closeDialogs, showRefusal} from './dialog.js';
import {alert, button, element, link, replace} from './dom.js';
import {plural} from './words.js';
import './theme.js';
import * as drops from './pages/drops.js';
import * as endpoints from './pages/endpoints.js';
import * as history from './pages/history.js';
import * as managedRanges from './pages/managed-ranges.js';
import * as netPeerings from './pages/net-peerings.js';
import * as network from './pages/network.js';
import * as overview from './pages/overview.js';
import * as rules from './pages/rules.js';
import * as why from './pages/why.js';

const groups = [
  ['', [['overview', overview]]],
  [
    'Settings',
    [
      ['rules', rules],
      ['managed-ranges', managedRanges],
      ['net-peerings', netPeerings],
      ['endpoints', endpoints],
      ['network', network],
    ],
  ],
  [
    'Activity',
    [
      ['drops', drops],
      ['why', why],
      ['history', history],
    ],
  ],
];
const pages = new Map(groups.flatMap(([, entries]) => entries));

const [navigation, banners, heading, root] = ['navigation', 'banners', 'title', 'page'].map(id =>
  document.getElementById(id),
);

// ---- Which page ----

// What a page is given: where it is shown, its options (from the address), and how it is kept fresh.
class Page {
  #ends = [];

  constructor(name, options) {
    this.name = name;
    this.options = options;
    this.root = element('div');
    this.mayChange = mayChange;
  }

  go(options) {
    cockpit.location.go(
      [this.name],
      Object.fromEntries(Object.entries(options).filter(([, value]) => value)),
    );
  }

  // See watch() of live.js. A refusal is shown in place of the page unless the page shows it.
  watch(ask, show, refuse) {
    const refused = element('div');
    this.root.prepend(refused);
    this.#ends.push(
      live.watch(
        ask,
        answer => {
          replace(refused);
          show(answer);
        },
        problem => {
          if (problem.reason !== 'refused') return; // the frame says so
          if (refuse) refuse(problem);
          else replace(refused, showRefusal(problem));
        },
      ),
    );
  }

  atEnd(end) {
    this.#ends.push(end);
  }

  end() {
    for (const end of this.#ends) end();
  }
}

let mayChange = false;
let isAccessKnown = false;
let shown;

function show() {
  const [name = 'overview'] = cockpit.location.path;
  const module = pages.get(name) ?? overview;
  const before = shown?.name;
  const used = root.contains(document.activeElement) ? document.activeElement.name : '';
  shown?.end();
  shown = new Page(pages.has(name) ? name : 'overview', cockpit.location.options);
  heading.textContent = module.title;
  document.title = `${module.title} - Database firewall`;
  replace(root, shown.root);
  module.mount(shown);
  showNavigation();
  placeFocus(before, used);
}

// Another page is read from its heading on; on the same one, what was used keeps the focus.
function placeFocus(before, used) {
  if (before === undefined) return;
  if (before !== shown.name) {
    closeDialogs();
    dropOldMessages();
    heading.focus();
  }
  if (before === shown.name && used) root.querySelector(`[name="${CSS.escape(used)}"]`)?.focus();
}

const menu = button(
  'Menu',
  () => {
    const isOpen = navigation.classList.toggle('moat-open');
    menu.setAttribute('aria-expanded', String(isOpen));
  },
  'secondary',
  {'aria-expanded': 'false', 'aria-controls': 'navigation-list'},
);
menu.classList.add('moat-menu');
const list = element('div', {id: 'navigation-list'});
navigation.append(menu, list);

function showNavigation() {
  navigation.classList.remove('moat-open');
  menu.setAttribute('aria-expanded', 'false');
  menu.textContent = `Menu: ${heading.textContent}`;
  replace(
    list,
    groups.map(([group, entries]) =>
      element(
        'section.pf-c-nav__section',
        {'aria-label': group || false},
        group && element('h2.pf-c-nav__section-title', {}, group),
        element(
          'ul.pf-c-nav__list',
          {},
          entries.map(([name, module]) =>
            element(
              'li.pf-c-nav__item',
              {},
              link(module.title, `#/${name}`, {
                class: `pf-c-nav__link${name === shown.name ? ' pf-m-current' : ''}`,
                'aria-current': name === shown.name && 'page',
              }),
            ),
          ),
        ),
      ),
    ),
  );
}

// ---- What is said on every page ----

const access = element('div');
const trial = element('div');
banners.append(access, trial);

function showStatus(status) {
  replace(
    access,
    !mayChange &&
      isAccessKnown &&
      alert(
        'info',
        'You may look, and change nothing.',
        'Who is in the group moat may change rules, and who has administrative access in Cockpit.',
      ),
  );
  forgetEndedTrial(status.trial);
  showTrial(status.trial);
}

function showProblem(refused) {
  replace(trial);
  const said = {
    denied: () => explainDenied(),
    stopped: () =>
      alert(
        'danger',
        'moatd is not reachable.',
        'What it enforced stays enforced unless somebody changes it in the kernel: moat status tells root. ' +
          'This page goes on by itself once moatd runs again.',
      ),
    lost: () => alert('danger', 'Cockpit has no connection to this host.', refused.message),
    refused: () => (refused.kind === 'forbidden' ? explainDenied() : showRefusal(refused)),
  }[refused.reason]();
  if (access.textContent !== said.textContent) replace(access, said);
}

function explainDenied() {
  return alert(
    'danger',
    'You may not ask moatd.',
    element(
      'p',
      {},
      'Who is in the group moat may look and change; who is in the group that moat.yaml names in socket-readers may look.',
    ),
    element(
      'p',
      {},
      'An administrator lets you in, from your next login on: ',
      element('code', {}, 'usermod -aG moat USER'),
      '. Who has administrative access in Cockpit may do everything here as well.',
    ),
  );
}

let counting;

// The time left is counted down here; moatd alone decides when it is over.
function showTrial(current) {
  if (!current) {
    counting = undefined;
    replace(trial);
    return;
  }
  const ends = Date.now() + current.left_ms;
  if (counting) {
    counting.ends = ends;
    return;
  }
  const left = element('strong');
  counting = {
    ends,
    tick: () => {
      left.textContent = plural(
        Math.max(0, Math.ceil((counting.ends - Date.now()) / 1000)),
        'second',
      );
    },
  };
  counting.tick();
  const box = alert('warning', [
    'A change by ',
    element('bdi', {}, current.author),
    ' is undone in ',
    left,
    ' unless it is confirmed.',
  ]);
  if (mayChange) {
    box.append(
      element(
        'div.pf-c-alert__action-group',
        {},
        button('Confirm', () => orSay(confirm()), 'primary'),
        button('Undo now', () => orSay(undoTrial()), 'secondary'),
      ),
    );
  }
  replace(trial, box);
}
window.setInterval(() => counting?.tick(), 500);

document
  .getElementById('skip')
  .addEventListener('click', () => document.getElementById('main').focus());
live.watch(() => api.get('/v1/status'), showStatus, showProblem);
mayChange = await api.findMayChange();
isAccessKnown = true;
cockpit.addEventListener('locationchanged', show);
show();
live.refresh();
