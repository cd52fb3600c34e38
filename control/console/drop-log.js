// SPDX-License-Identifier: BSD-2-Clause
// Recent drops, as moatd has listed them: asked for what is new only, kept until they are too many.

import * as api from './api.js';

const maxKept = 4096; // as many as moatd keeps

const keyOf = ({source, database, port, reason, interface: by, vlan}) =>
  [source, database, database ? '' : port, reason, by, vlan].join(' ');

export class DropLog {
  #drops = new Map();
  #since = '';
  unlisted = 0;

  // Resolves to what is known then, the latest first.
  async ask() {
    const answer = await api.get('/v1/drops', {since: this.#since});
    const isAnew = this.#since !== '' && answer.next < this.#since; // another moatd
    if (isAnew) this.#drops.clear();
    this.#since = answer.next;
    this.unlisted = answer.unlisted;
    for (const drop of answer.drops.reverse()) {
      const key = keyOf(drop);
      this.#drops.delete(key);
      this.#drops.set(key, {...drop, key});
    }
    for (const key of this.#drops.keys()) {
      if (this.#drops.size <= maxKept) break;
      this.#drops.delete(key);
    }
    return [...this.#drops.values()].reverse();
  }
}
