// SPDX-License-Identifier: BSD-2-Clause
// Light or dark, as Cockpit is told: its shell keeps the choice where all pages can read it.

const dark = window.matchMedia('(prefers-color-scheme: dark)');

function apply(chosen = window.localStorage.getItem('shell:style') ?? 'auto') {
  document.documentElement.classList.toggle(
    'pf-theme-dark',
    chosen === 'dark' || (chosen === 'auto' && dark.matches),
  );
  window.dispatchEvent(new Event('moat-theme'));
}

window.addEventListener('storage', ({key}) => key === 'shell:style' && apply());
window.addEventListener('cockpit-style', ({detail}) => apply(detail.style));
dark.addEventListener('change', () => apply());
apply();
