// SPDX-License-Identifier: BSD-2-Clause
// What two texts have otherwise, line by line.

const around = 2; // lines of what is the same, beside what is not
const maxCells = 4e6; // of the table below: about 2,000 lines against 2,000

// [['-' | '+' | ' ' | '…', line], ...], by their longest common subsequence. Texts too long for that
// are all removed and all added.
export function diffLines(before, after) {
  const [a, b] = [before, after].map(text =>
    text.split('\n').slice(0, text.endsWith('\n') ? -1 : undefined),
  );
  if (before === '') return b.map(line => ['+', line]);
  if (a.length * b.length > maxCells)
    return [...a.map(line => ['-', line]), ...b.map(line => ['+', line])];
  return shorten(walk(a, b, commonLengths(a, b)));
}

// lengths[i][j]: of the longest common subsequence of a from i and b from j
function commonLengths(a, b) {
  const lengths = Array.from({length: a.length + 1}, () => new Uint32Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; --i)
    for (let j = b.length - 1; j >= 0; --j)
      lengths[i][j] =
        a[i] === b[j] ? lengths[i + 1][j + 1] + 1 : Math.max(lengths[i + 1][j], lengths[i][j + 1]);
  return lengths;
}

function walk(a, b, lengths) {
  const lines = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      lines.push([' ', a[i++]]);
      ++j;
    } else if (j === b.length || (i < a.length && lengths[i + 1][j] >= lengths[i][j + 1])) {
      lines.push(['-', a[i++]]);
    } else {
      lines.push(['+', b[j++]]);
    }
  }
  return lines;
}

function shorten(lines) {
  const isNear = at =>
    lines.slice(Math.max(0, at - around), at + around + 1).some(([sign]) => sign !== ' ');
  return lines.flatMap((line, at) => {
    if (isNear(at)) return [line];
    return at > 0 && !isNear(at - 1) ? [] : [['…', '']];
  });
}
