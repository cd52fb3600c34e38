// SPDX-License-Identifier: BSD-2-Clause
// Keeps what is shown fresh: asks again when moatd tells of an event, and every two seconds for what
// changes without one (hits, sessions, drops). Nothing is asked while the page cannot be seen.
/* global cockpit */

import * as api from './api.js';

const interval = 2000;

class Watch {
  isAsking = false;
  isStale = false;
  isEnded = false;

  constructor(ask, show, refuse) {
    Object.assign(this, {ask, show, refuse});
  }

  async refresh() {
    this.isStale = true;
    if (this.isAsking) return;
    this.isAsking = true;
    while (this.isStale && !this.isEnded) {
      this.isStale = false;
      try {
        const answer = await this.ask();
        if (!this.isEnded) this.show(answer);
      } catch (refused) {
        if (!(refused instanceof api.Refusal)) throw refused;
        if (!this.isEnded) this.refuse(refused);
      }
    }
    this.isAsking = false;
  }
}

const watches = new Set();

// Until the returned function is called: `show` gets what `ask` resolves to, at once and whenever
// that may have changed; `refuse` gets the Refusal if there is none.
export function watch(ask, show, refuse) {
  const made = new Watch(ask, show, refuse);
  watches.add(made);
  made.refresh();
  return () => {
    made.isEnded = true;
    watches.delete(made);
  };
}

export function refresh() {
  for (const each of watches) each.refresh();
}

const untilVisible = () =>
  new Promise(resolve => {
    if (!cockpit.hidden) return resolve();
    cockpit.addEventListener('visibilitychange', function look() {
      if (cockpit.hidden) return;
      cockpit.removeEventListener('visibilitychange', look);
      resolve();
    });
  });
const pause = () =>
  new Promise(resolve => {
    window.setTimeout(resolve, interval);
  });

// moatd answers as soon as something has happened since; what had before is passed over.
async function followEvents() {
  for (let since = 0; ;) {
    await untilVisible();
    try {
      const {events, next} = await api.wait('/v1/events', {since, wait: '30s'});
      since = next;
      if (events.length > 0) refresh();
    } catch (refused) {
      if (!(refused instanceof api.Refusal)) throw refused;
      await pause();
    }
  }
}

async function refreshAtIntervals() {
  for (;;) {
    await pause();
    await untilVisible();
    refresh();
  }
}

followEvents();
refreshAtIntervals();
