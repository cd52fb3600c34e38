// SPDX-License-Identifier: BSD-2-Clause
// Numbers and times as people read them, in the words of the command.

const grouped = new Intl.NumberFormat('en');
export const number = value => grouped.format(value);

export const plural = (count, noun) => `${number(count)} ${noun}${count === 1 ? '' : 's'}`;

const steps = [
  ['d', 86400],
  ['h', 3600],
  ['min', 60],
  ['s', 1],
];

// "3 s", "2 h": whole units, the largest that fits.
export function age(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const [unit, length] = steps.find(([, length]) => whole >= 2 * length) ?? ['s', 1];
  return `${Math.floor(whole / length)} ${unit}`;
}

// "3 s ago", "-" for never.
export const ago = time => (time ? `${age((Date.now() - Date.parse(time)) / 1000)} ago` : '-');

// "9 ms", "1.2 s", "120 s"
export function duration(ms) {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  return ms < 10000 ? `${(ms / 1000).toFixed(1)} s` : `${Math.round(ms / 1000)} s`;
}

export const clock = time => (time ? new Date(time).toLocaleString() : '-');

// "never", "in 3 h", "expired 2 d ago"
export function expiry(time) {
  if (!time) return 'never';
  const seconds = (Date.parse(time) - Date.now()) / 1000;
  return seconds > 0 ? `in ${age(seconds)}` : `expired ${age(-seconds)} ago`;
}

// "port 5432", "ports 5432, 6432", "all ports"
export function ports(endpoint) {
  if (endpoint.all) return 'all ports';
  return `port${endpoint.ports.length === 1 ? '' : 's'} ${endpoint.ports.join(', ')}`;
}

export const address = endpoint => endpoint.address ?? 'every address of the host';

export const place = ({file, line}) => (line ? `${file}:${line}` : file);
