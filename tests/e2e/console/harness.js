// SPDX-License-Identifier: BSD-2-Clause
// What the tests of the console have in common: a browser, users who sign in, the scene around, and
// how a test is told. stdout and stdin belong to console.sh, which carries out orders.

import assert from 'node:assert/strict';
import {readFileSync} from 'node:fs';
import {createInterface} from 'node:readline';
import {chromium} from 'playwright-core';

export const [pictures, patience, picture] = process.argv.slice(2);
export const host = 'http://127.0.0.1:9090';
export const console_ = `${host}/cockpit/@localhost/moat/index.html`;
const timeout = 10000 * patience;

const answers = createInterface({input: process.stdin})[Symbol.asyncIterator]();
const axe = readFileSync(new URL('node_modules/axe-core/axe.min.js', import.meta.url), 'utf8');

// Has the scene carry out an order, see console.sh. Resolves to the last line of what it says.
export async function order(...words) {
  process.stdout.write(`${words.join(' ')}\n`);
  const {value: answer} = await answers.next();
  assert.match(answer, /^ok /, words.join(' '));
  return answer.slice('ok '.length);
}

export const say = text => process.stderr.write(`${text}\n`);

// ---- Tests ----

const tests = [];
export const test = (name, run) => tests.push({name, run});

export async function runTests() {
  let failed = 0;
  for (const [number, {name, run}] of tests.entries()) {
    const started = Date.now();
    try {
      await run();
      say(`ok      ${name} (${Date.now() - started} ms)`);
    } catch (error) {
      failed += 1;
      say(`FAILED  ${name}\n${brief(error)}`);
      for (const [user, page] of pages)
        await page
          .screenshot({path: `${pictures}/failed-${number}-${user}.png`})
          .catch(() => undefined);
    }
  }
  say(`${tests.length - failed} passed, ${failed} failed`);
  return failed;
}

// Without the colours, and the tries, that Playwright has in its messages.
function brief({stack}) {
  const lines = stack.replace(/\x1b\[\d+m/g, '').split('\n');
  return lines.filter((line, at) => at < 6 || /^ +at .*console_test/.test(line)).join('\n');
}

// ---- The browser ----

const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'],
});
const pages = new Map();
const complaints = [];

// Cockpit's login page asks whether it has a session, and is told that it has none.
const isOurs = message => !/status of 401/.test(message.text());

// The page of a user who has signed in by PAM.
export async function signIn(user) {
  const context = await browser.newContext({
    viewport: {width: 1280, height: 800},
    colorScheme: 'light',
  });
  context.setDefaultTimeout(timeout);
  const page = await context.newPage();
  page.on('pageerror', error => complaints.push(`${user}: ${error.stack}`));
  page.on(
    'console',
    message =>
      message.type() === 'error' &&
      isOurs(message) &&
      complaints.push(`${user}: ${message.text()}`),
  );
  pages.set(user, page);
  await page.goto(host);
  await page.fill('#login-user-input', user);
  await page.fill('#login-password-input', user);
  await page.click('#login-button');
  await page.getByRole('link', {name: 'Database firewall'}).waitFor();
  return page;
}

// What pages have thrown, or what the browser has refused them, such as by the content security policy.
export const takeComplaints = () => complaints.splice(0);

// A page of nobody's: without a session.
export async function openPage() {
  const context = await browser.newContext();
  context.setDefaultTimeout(timeout);
  return context.newPage();
}

export async function visit(page, place, heading) {
  for (const dialog of await page.getByRole('dialog').all()) await dialog.press('Escape');
  await page.goto(`${console_}#/${place}`);
  await page.getByRole('heading', {level: 1, name: heading, exact: true}).waitFor();
}

export const closeBrowser = () => browser.close();

// ---- What must hold of every page ----

// axe-core's findings that are serious or worse.
export async function checkAccessibility(page, what) {
  await page.evaluate(axe);
  const {violations} = await page.evaluate(() =>
    window.axe.run(document, {
      runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'],
    }),
  );
  const serious = violations.filter(({impact}) => ['serious', 'critical'].includes(impact));
  assert.deepEqual(
    serious.map(
      ({id, nodes}) =>
        `${id}: ${nodes.map(({html, failureSummary}) => `${html} ${failureSummary}`).join('; ')}`,
    ),
    [],
    what,
  );
}

export async function checkWidth(page, what) {
  const [content, window_] = await page.evaluate(() => [
    document.documentElement.scrollWidth,
    document.documentElement.clientWidth,
  ]);
  assert.ok(content <= window_, `${what}: ${content} pixels wide in a window of ${window_}`);
}

export {assert};
