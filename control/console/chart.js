// SPDX-License-Identifier: BSD-2-Clause
// Allowed and dropped packets over time, drawn by uPlot.

import {element, replace} from './dom.js';
import {rates} from './rates.js';
import {number} from './words.js';
import uPlot from './uplot/uPlot.esm.js';

const height = 200;

export class Chart {
  #canvas = element('div', {'aria-hidden': 'true'});
  #said = element('p.moat-count');
  #plot;

  constructor(page) {
    this.root = element(
      'figure.moat-chart',
      {},
      element('figcaption', {}, 'Packets a second, of all databases'),
      this.#canvas,
      this.#said,
    );
    const redraw = () => this.#draw();
    const resized = new ResizeObserver(() => this.#plot?.setSize({width: this.#width(), height}));
    resized.observe(this.root);
    window.addEventListener('moat-theme', redraw);
    page.atEnd(() => {
      resized.disconnect();
      window.removeEventListener('moat-theme', redraw);
      this.#plot?.destroy();
    });
  }

  update() {
    const last = rates.times.length - 1;
    const said =
      last < 0
        ? 'Counting since this page was opened.'
        : `Now ${number(Math.round(rates.allowed[last]))} allowed and ${number(Math.round(rates.dropped[last]))} dropped a second.`;
    if (this.#said.textContent !== said) this.#said.textContent = said;
    if (this.#plot) this.#plot.setData(this.#data());
    else if (last > 0) this.#draw();
  }

  #data() {
    return [rates.times, rates.allowed, rates.dropped];
  }

  #width() {
    return Math.max(200, this.root.clientWidth);
  }

  // Anew, as colours are given when it is made.
  #draw() {
    if (rates.times.length < 2) return;
    this.#plot?.destroy();
    replace(this.#canvas);
    const style = window.getComputedStyle(document.documentElement);
    const colour = name => style.getPropertyValue(name).trim();
    const axis = {
      stroke: colour('--moat-text'),
      grid: {stroke: colour('--moat-border')},
      ticks: {stroke: colour('--moat-border')},
    };
    const line = (label, name, dash) => ({
      label,
      stroke: colour(name),
      width: 2,
      dash,
      points: {show: false},
    });
    this.#plot = new uPlot(
      {
        width: this.#width(),
        height,
        series: [{}, line('allowed', '--moat-green'), line('dropped', '--moat-red', [6, 3])],
        axes: [axis, {...axis, size: 60}],
        scales: {y: {range: (plot, low, high) => [0, Math.max(10, high)]}},
        cursor: {drag: {x: false, y: false}},
      },
      this.#data(),
      this.#canvas,
    );
  }
}
