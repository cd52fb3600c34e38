// SPDX-License-Identifier: BSD-2-Clause
// Packets a second, allowed and dropped on the whole host, from the counters as they grow. Kept from
// the first page on, so that the chart has something to show.

import * as api from './api.js';
import * as live from './live.js';

const maxPoints = 450; // 15 minutes

const sum = (totals, of) =>
  totals.reduce((packets, total) => packets + (total[of]?.packets ?? 0), 0);

class Rates {
  times = [];
  allowed = [];
  dropped = [];
  #last;

  take({totals}) {
    const now = {
      time: Date.now() / 1000,
      allowed: sum(totals, 'allowed'),
      dropped: sum(totals, 'dropped') + sum(totals, 'monitored'),
    };
    const last = this.#last;
    this.#last = now;
    if (!last || now.time - last.time < 0.5) return;
    // Counters that fell are of another moatd.
    const rate = of => Math.max(0, (now[of] - last[of]) / (now.time - last.time));
    this.times.push(now.time);
    this.allowed.push(rate('allowed'));
    this.dropped.push(rate('dropped'));
    for (const each of [this.times, this.allowed, this.dropped])
      if (each.length > maxPoints) each.shift();
  }
}

export const rates = new Rates();
live.watch(
  () => api.get('/v1/counters'),
  answer => rates.take(answer),
  () => undefined,
);
