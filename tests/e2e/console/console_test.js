// SPDX-License-Identifier: BSD-2-Clause
// The console as people use it: see console.sh.

import {request} from 'node:http';

import {
  assert,
  checkAccessibility,
  checkWidth,
  closeBrowser,
  openPage,
  order,
  picture,
  pictures,
  runTests,
  say,
  signIn,
  takeComplaints,
  test,
  visit,
} from './harness.js';

const stranger = '198.19.0.66';
const receipts = page => page.getByRole('log', {name: 'Changes'});
const enforced = /generation \d+ enforced in /;

let operator, reader;

async function isTaken() {
  await dialog().getByText('moatd takes this.').waitFor();
}

// ---- What operators do ----

const rules = () => visit(operator, 'rules?database=orders', 'Internet access');
const row = text => operator.getByRole('row').filter({hasText: text});
const dialog = () => operator.getByRole('dialog');

async function startRule(cidr, label = '') {
  await operator.getByRole('button', {name: 'New rule'}).click();
  await dialog().getByLabel('CIDR', {exact: true}).fill(cidr);
  if (label) await dialog().getByLabel('Label').fill(label);
}

async function addRule(cidr, label) {
  await startRule(cidr, label);
  await dialog().getByRole('button', {name: 'Add rule'}).click();
  await dialog().waitFor({state: 'detached'});
  await row(cidr).waitFor();
}

async function removeRule(cidr) {
  await operator.getByRole('button', {name: `Remove rule ${cidr}`}).click();
  await dialog()
    .getByText(/would end/)
    .first()
    .waitFor();
  await dialog().getByRole('button', {name: 'Remove rule'}).click();
  await dialog().waitFor({state: 'detached'});
  await row(cidr).waitFor({state: 'detached'});
}

test('an operator signs in by PAM and finds the pages in the menu of Cockpit', async () => {
  operator = await signIn('moat-ada');
  await operator.getByRole('link', {name: 'Database firewall'}).click();
  const frame = operator.frameLocator('iframe[name="cockpit1:localhost/moat"]');
  await frame.getByRole('heading', {level: 1, name: 'Overview'}).waitFor();
  await frame.getByText('orders').first().waitFor();
});

test('the walk through the dashboard: Settings, Internet access, New rule, its type, repeat, connect', async () => {
  await order('is_kept_out', 'stranger');
  await visit(operator, 'overview', 'Overview');
  await operator
    .getByRole('region', {name: 'Settings'})
    .getByRole('link', {name: 'Internet access'})
    .click();
  await operator.getByRole('heading', {level: 2, name: 'Firewall rules'}).waitFor();
  await startRule(`${stranger}/32`, 'On call');
  await dialog().getByRole('button', {name: 'Add, then another'}).click();
  await dialog().getByText(enforced).waitFor();
  await dialog().getByLabel('Managed range', {exact: true}).first().check();
  await dialog().getByRole('listbox').selectOption('mr-country-fr');
  await dialog().getByRole('button', {name: 'Add rule'}).click();
  await dialog().waitFor({state: 'detached'});
  await row('mr-country-fr').getByText('3 networks').waitFor();
  await row(`${stranger}/32`).getByText('active').waitFor();
  await operator.getByText('6 of 30 rules').waitFor();
  await order('connects', 'stranger');
  await row(`${stranger}/32`)
    .getByRole('cell', {name: /^[1-9]\d*$/})
    .first()
    .waitFor();
  await takePicture();
});

// For the README.
async function takePicture() {
  if (!picture) return;
  await operator.setViewportSize({width: 1280, height: 720});
  await operator.evaluate(() => document.activeElement.blur());
  await operator.screenshot({path: picture});
}

const refusals = [
  ['198.51.100.0/33', /prefix length 33/, 'the prefix'],
  ['198.51.100.25/24', /198\.51\.100\.0\/24/, 'the network that it should be'],
  ['198.51.100/24', /198\.51\.100\/24/, 'a short form'],
  ['198.051.100.25/32', /zero/, 'a leading zero'],
  ['fd00::/8', /IPv6|fd00/, 'IPv6'],
  ['198.51.100.25/32', /already|twice/, 'a source that has a rule'],
  ['<b>', /<b>/, 'markup'],
];

test('what moatd refuses is said while it is typed, in its words', async () => {
  await rules();
  await startRule('');
  const cidr = dialog().getByLabel('CIDR', {exact: true});
  for (const [value, said, what] of refusals) {
    await cidr.fill(value);
    await dialog()
      .locator('.pf-m-error, .pf-m-danger')
      .filter({hasText: said})
      .waitFor()
      .catch(error => {
        throw new Error(`${what}: ${error.message}`);
      });
  }
  await cidr.fill('203.0.113.77/32');
  await isTaken();
  await cidr.fill('0.0.0.0/0');
  await dialog().locator('.pf-m-warning').first().waitFor();
  await cidr.fill('203.0.113.77/32');
  await dialog().getByLabel('Expires').fill('some day');
  await dialog().locator('.pf-m-error').filter({hasText: 'some day'}).waitFor();
  await dialog().getByRole('button', {name: 'Add rule'}).click();
  await dialog().locator('.pf-m-danger').filter({hasText: 'some day'}).waitFor();
  await operator.keyboard.press('Escape');
  await dialog().waitFor({state: 'detached'});
  await row('203.0.113.77/32').waitFor({state: 'detached'});
});

test('label and expiry of a rule are edited in its row', async () => {
  await rules();
  await operator.getByRole('button', {name: `Edit rule ${stranger}/32`}).click();
  await operator.getByRole('textbox', {name: 'Label'}).fill('On call this week');
  await operator.getByRole('textbox', {name: 'Expires'}).fill('7d');
  await operator.getByRole('button', {name: 'Save'}).click();
  await row('On call this week')
    .getByText(/in [67] d/)
    .waitFor();
  await receipts(operator).getByText(`Rule ${stranger}/32 of orders edited`).waitFor();
});

test('a label is taken out in its row, and given back', async () => {
  await rules();
  const setLabel = async label => {
    await operator.getByRole('button', {name: `Edit rule ${stranger}/32`}).click();
    await operator.getByRole('textbox', {name: 'Label'}).fill(label);
    await operator.getByRole('button', {name: 'Save'}).click();
    await operator.getByRole('button', {name: 'Save'}).waitFor({state: 'detached'});
  };
  await setLabel('');
  await row('On call this week').waitFor({state: 'detached'});
  await setLabel('On call this week');
  await row('On call this week').waitFor();
});

test('an edit that is refused says so in the row, and what was typed stays', async () => {
  await rules();
  await operator.getByRole('button', {name: `Edit rule ${stranger}/32`}).click();
  await operator.getByRole('textbox', {name: 'Expires'}).fill('yesterday');
  await operator.keyboard.press('Enter');
  await operator
    .locator('td .pf-m-danger')
    .getByText(/yesterday/)
    .waitFor();
  assert.equal(await operator.getByRole('textbox', {name: 'Expires'}).inputValue(), 'yesterday');
  await operator.keyboard.press('Escape');
  await row('On call this week').waitFor();
});

const script = '<script>window.isRun = true</script><img src=x onerror="window.isRun = true">';
const rightToLeft = 'משרד (1)';
const turned = '\u202Egnp.exe\u202C\u200Fabc\u2067';

test('labels are text, whatever they say, and however long they are', async () => {
  await rules();
  await addRule('203.0.113.1/32', script);
  await row(script).waitFor();
  await startRule('203.0.113.2/32', turned);
  await dialog().getByRole('button', {name: 'Add rule'}).click();
  await dialog().locator('.pf-m-danger').filter({hasText: 'control character'}).waitFor();
  await operator.keyboard.press('Escape');
  await addRule('203.0.113.2/32', rightToLeft);
  await row('203.0.113.2/32').getByText(rightToLeft).waitFor();
  await addRule('203.0.113.3/32', 'W'.repeat(255));
  await checkWidth(operator, 'with a long label');
  await startRule('203.0.113.4/32', 'W'.repeat(10000));
  await dialog().locator('.pf-m-error, .pf-m-danger').first().waitFor();
  await checkWidth(operator, 'with a label that is too long');
  await operator.keyboard.press('Escape');
  for (const place of ['history', 'overview']) {
    await operator.goto(`${operator.url().split('#')[0]}#/${place}`);
    await operator.getByRole('table').first().waitFor();
  }
  assert.equal(await operator.evaluate(() => window.isRun), undefined);
  await rules();
  for (const number of [1, 2, 3]) await removeRule(`203.0.113.${number}/32`);
});

test('a rule is removed under a live session, which the dialog announces and which then ends', async () => {
  await rules();
  await order('open_session');
  await row(`${stranger}/32`).getByRole('cell', {name: '1', exact: true}).waitFor();
  await operator.getByRole('button', {name: `Remove rule ${stranger}/32`}).click();
  await dialog().getByText('1 session would end').waitFor();
  await dialog().getByText(stranger).last().waitFor();
  await dialog().getByRole('button', {name: 'Remove rule'}).click();
  await receipts(operator).getByText(`1 session ended: ${stranger}`).waitFor();
  await order('session_ended');
  await order('is_kept_out', 'stranger');
});

test('a change is undone from its receipt', async () => {
  await rules();
  await receipts(operator).getByRole('button', {name: 'Undo'}).first().click();
  await row('On call this week').waitFor();
  await order('connects', 'stranger');
  await removeRule(`${stranger}/32`);
});

test('a change that nobody confirms lapses', async () => {
  await rules();
  await startRule('203.0.113.9/32');
  await dialog().getByLabel('Undo unless confirmed within').fill('3s');
  await dialog().getByRole('button', {name: 'Add rule'}).click();
  await row('203.0.113.9/32').waitFor();
  await operator.getByText(/is undone in .* unless it is confirmed/).waitFor();
  await row('203.0.113.9/32').waitFor({state: 'detached'});
  await operator.getByText(/is undone in .* unless it is confirmed/).waitFor({state: 'detached'});
});

test('a change that is confirmed stays', async () => {
  await rules();
  await startRule('203.0.113.10/32');
  await dialog().getByLabel('Undo unless confirmed within').fill('5m');
  await dialog().getByRole('button', {name: 'Add rule'}).click();
  await operator.getByRole('button', {name: 'Confirm'}).click();
  await operator.getByText(/is undone in .* unless it is confirmed/).waitFor({state: 'detached'});
  await row('203.0.113.10/32').waitFor();
});

test('history shows what a generation changed, and rolls back to the one before', async () => {
  await visit(operator, 'history', 'History');
  await operator
    .getByRole('link', {name: /^Show generation/})
    .first()
    .click();
  await operator.locator('.moat-added').getByText('203.0.113.10/32').waitFor();
  await operator
    .getByRole('button', {name: /^Roll back to generation/})
    .first()
    .click();
  await dialog()
    .getByText(/203\.0\.113\.10\/32/)
    .first()
    .waitFor();
  await dialog().getByRole('button', {name: 'Roll back'}).click();
  await receipts(operator)
    .getByText(/^Rolled back to generation/)
    .first()
    .waitFor();
  await rules();
  await row('198.51.100.25/32').waitFor();
  await row('203.0.113.10/32').waitFor({state: 'detached'});
});

test('a 31st rule is refused, and how many there are is told', async () => {
  await rules();
  for (let number = 20; number < 45; ++number)
    await order(
      'moat_says',
      'rules',
      'add',
      '--database',
      'orders',
      '--cidr',
      `203.0.113.${number}/32`,
    );
  await operator.getByText('30 of 30 rules').waitFor();
  await startRule('203.0.113.99/32');
  await dialog().locator('.pf-m-danger, .pf-m-error').filter({hasText: /30/}).waitFor();
  await operator.keyboard.press('Escape');
});

test('the keyboard alone adds a rule, and gets the focus back', async () => {
  await order('moat_says', 'rules', 'remove', '--database', 'orders', '--cidr', '203.0.113.44/32');
  await rules();
  await operator.getByText('29 of 30 rules').waitFor();
  await operator.getByRole('button', {name: 'New rule'}).focus();
  await operator.keyboard.press('Enter');
  await dialog().waitFor();
  await operator.keyboard.press('Tab');
  await operator.keyboard.type('203.0.113.90/32');
  await isTaken();
  await operator.keyboard.press('Enter');
  await row('203.0.113.90/32').waitFor();
  await operator.getByRole('button', {name: 'New rule'}).and(operator.locator(':focus')).waitFor();
  await order('moat_says', 'rules', 'remove', '--database', 'orders', '--cidr', '203.0.113.90/32');
});

// ---- What they see ----

test('why an address gets what it gets, and the rule that would let it in', async () => {
  await visit(operator, 'why', 'Why');
  await operator.getByLabel('Address').fill('198.51.100.25');
  await operator.keyboard.press('Enter');
  await operator.getByText('198.51.100.25 may reach orders').waitFor();
  await operator.getByText(/orders\.yaml:\d+/).waitFor();
  await operator.getByLabel('Address').fill('198.51.100.2x');
  await operator.keyboard.press('Enter');
  await operator.locator('.pf-m-error').filter({hasText: '198.51.100.2x'}).waitFor();
  await visit(operator, `why?source=${stranger}`, 'Why');
  await operator.getByRole('button', {name: 'Allow this source'}).click();
  assert.equal(await dialog().getByLabel('CIDR', {exact: true}).inputValue(), `${stranger}/32`);
  await operator.keyboard.press('Escape');
});

test('5,000 drops a second leave the page quick, and a source is allowed from its row', async () => {
  await visit(operator, 'drops', 'Drops');
  await operator.evaluate(() => {
    window.longest = 0;
    new PerformanceObserver(list => {
      for (const {duration} of list.getEntries())
        window.longest = Math.max(window.longest, duration);
    }).observe({type: 'longtask'});
  });
  await order('start_flood');
  await operator.getByText(/the latest 100 of [\d,]+ rows/).waitFor();
  await operator.getByText(/Now .* and [1-9][\d,]* dropped a second/).waitFor();
  await operator.locator('.uplot canvas').waitFor();
  await operator.getByLabel('Source starts with').fill('203.');
  await operator.getByText('No drop matches.').waitFor();
  await operator.screenshot({path: `${pictures}/drops-flood.png`});
  await operator.getByLabel('Source starts with').fill('');
  await operator
    .getByRole('link', {name: /^Allow this source/})
    .first()
    .click();
  await isTaken();
  assert.match(
    await dialog().getByLabel('CIDR', {exact: true}).inputValue(),
    /^100\.64\.\d+\.\d+\/32$/,
  );
  await operator.keyboard.press('Escape');
  say(
    `        longest task of the page under 5,000 drops a second: ${Math.round(await operator.evaluate(() => window.longest))} ms`,
  );
  await order('stop_flood');
});

test('the mode of a database is changed, which says first whom it lets in', async () => {
  await visit(operator, 'overview', 'Overview');
  await order('is_kept_out', 'stranger');
  await operator.getByRole('button', {name: 'Monitor orders'}).click();
  await dialog().getByText(/opens|everybody/i).first().waitFor();
  await dialog().locator('.pf-m-warning').first().waitFor();
  await dialog().getByRole('button', {name: 'Monitor', exact: true}).click();
  await receipts(operator).getByText('orders is in monitor mode').waitFor();
  await order('connects', 'stranger');
  await order('open_session');
  await operator.getByRole('button', {name: 'Enforce orders'}).click();
  await dialog().getByText('1 session would end').waitFor();
  await dialog().getByRole('button', {name: 'Enforce', exact: true}).click();
  await receipts(operator).getByText(`1 session ended: ${stranger}`).waitFor();
  await order('session_ended');
  await order('is_kept_out', 'stranger');
});

test('a database whose file is gone is forgotten, which says first that its port opens', async () => {
  await visit(operator, 'overview', 'Overview');
  assert.equal(await operator.getByRole('button', {name: 'Forget orders'}).count(), 0);
  await order('take_file_away');
  await operator.getByRole('button', {name: 'Forget orders'}).click();
  await dialog().locator('.pf-m-warning').first().waitFor();
  await order('is_kept_out', 'stranger');
  await dialog().getByRole('button', {name: 'Forget database'}).click();
  await receipts(operator).getByText('orders is guarded no longer').waitFor();
  await order('connects', 'stranger');
  await order('bring_file_back');
  await operator.getByRole('button', {name: 'Monitor orders'}).waitFor();
  await order('is_kept_out', 'stranger');
});

test('what is wrong with a file is shown with its remedy, and goes when it is mended', async () => {
  await visit(operator, 'overview', 'Overview');
  await order('edit_file', 's|198.51.100.25/32|198.51.100.25/24|');
  await operator
    .getByRole('region', {name: 'What is wrong'})
    .getByText(/orders\.yaml:\d+:\d+/)
    .waitFor();
  await operator.screenshot({path: `${pictures}/overview-problem.png`, fullPage: true});
  await order('edit_file', 's|198.51.100.25/24|198.51.100.25/32|');
  await operator.getByRole('region', {name: 'What is wrong'}).waitFor({state: 'detached'});
});

test('a version of a managed range that gains too much is held back, and accepted', async () => {
  await visit(operator, 'managed-ranges', 'Managed ranges');
  await order('edit_range', '$a20.0.0.0/8');
  await row('mr-country-fr').getByText('a version is held back').waitFor();
  await operator.getByRole('button', {name: 'Accept the new version of mr-country-fr'}).click();
  await dialog().getByRole('button', {name: 'Accept', exact: true}).click();
  await receipts(operator).getByText('New version of mr-country-fr').waitFor();
  await row('mr-country-fr').getByText('a version is held back').waitFor({state: 'detached'});
});

test('a moatd that is stopped is missed, and found again', async () => {
  await rules();
  await order('stop_daemon');
  await operator.getByText('moatd is not reachable.').waitFor();
  await order('start_daemon');
  await operator.getByText('moatd is not reachable.').waitFor({state: 'detached'});
  await row('198.51.100.25/32').waitFor();
});

const differences = [
  ['', 'a\n', '+a'],
  ['a\nb\nc\n', 'a\nx\nc\n', ' a -b +x  c'],
  ['a\nb\n', 'a\nb', '…'],
  ['1\n2\n3\n4\n5\n6\n7\n8\n', '1\n2\n3\n4\n5\n6\n7\n9\n', '…  6  7 -8 +9'],
];

test('differences of two texts are told line by line', async () => {
  for (const [before, after, expected] of differences) {
    const lines = await operator.evaluate(
      async texts => {
        const {diffLines} = await import(new URL('diff.js', document.baseURI));
        return diffLines(...texts);
      },
      [before, after],
    );
    assert.equal(lines.map(([sign, line]) => sign + line).join(' '), expected);
  }
});

// ---- Who may do less ----

test('a reader sees all of it and can change nothing', async () => {
  reader = await signIn('moat-ben');
  await visit(reader, 'rules', 'Internet access');
  await reader.getByText('198.51.100.25/32').waitFor();
  assert.equal(await reader.getByRole('button', {name: /New rule|Edit|Remove/}).count(), 0);
  await reader.getByText('You may look, and change nothing.').waitFor();
  await visit(reader, 'history', 'History');
  await reader
    .getByRole('link', {name: /^Show generation/})
    .first()
    .waitFor();
  assert.equal(await reader.getByRole('button', {name: /^Roll back/}).count(), 0);
});

test('a reader who asks the socket himself is refused as well', async () => {
  const answers = await reader.evaluate(async () => {
    const api = await import(new URL('api.js', document.baseURI));
    const tries = {
      add: () => api.post('/v1/rules', {}, {database: 'orders', cidr: '203.0.113.66/32'}),
      set: () => api.patch('/v1/databases/orders', {}, {mode: 'monitor'}),
      forget: () => api.remove('/v1/databases/orders'),
      detach: () => api.post('/v1/detach'),
      refresh: () => api.post('/v1/refresh/mr-country-fr'),
    };
    const results = {};
    for (const [name, make] of Object.entries(tries))
      results[name] = await make().then(
        () => 'done',
        refused => refused.kind || refused.reason,
      );
    return results;
  });
  for (const [name, answer] of Object.entries(answers)) assert.equal(answer, 'forbidden', name);
});

test('who is in neither group sees why', async () => {
  const nobody = await signIn('moat-eve');
  await visit(nobody, 'rules', 'Internet access');
  await nobody.getByText('You may not ask moatd.').waitFor();
  await nobody
    .getByText(/group moat\b/)
    .first()
    .waitFor();
  await nobody.screenshot({path: `${pictures}/denied.png`});
});

// What the server says to a page of that origin which asks for the session's socket.
const askForSocket = (link, origin) =>
  new Promise((resolve, reject) => {
    const asked = request(link.replace(/\/cockpit\/.*/, '/cockpit/socket'), {
      headers: {
        Connection: 'Upgrade',
        Upgrade: 'websocket',
        Origin: origin,
        'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
        'Sec-WebSocket-Version': '13',
        'Sec-WebSocket-Protocol': 'cockpit1',
      },
    });
    asked.on('upgrade', (answer, socket) => {
      socket.destroy();
      resolve(answer.statusCode);
    });
    asked.on('response', answer => resolve(answer.statusCode));
    asked.on('error', reject);
    asked.end();
  });

test('moat console opens a session for who has its link, and for nobody else', async () => {
  const link = await order('open_console');
  const page = await openPage();
  const withoutSecret = await page.goto(link.replace(/\/[0-9a-f]{32}\//, '/'));
  assert.equal(withoutSecret.status(), 404);
  const {origin} = new URL(link);
  assert.notEqual(await askForSocket(link.replace(/\/[0-9a-f]{32}\//, '/'), origin), 101);
  assert.notEqual(await askForSocket(link, 'http://evil.example'), 101);
  await page.goto(link);
  await page.getByRole('heading', {level: 1, name: 'Overview'}).waitFor();
  await page.getByRole('link', {name: 'orders'}).waitFor();
  await page.close();
  await order('close_console');
});

// ---- Every page ----

const pages = [
  ['overview', 'Overview'],
  ['rules', 'Internet access'],
  ['managed-ranges', 'Managed ranges'],
  ['managed-ranges?id=mr-country-fr', 'Managed ranges'],
  ['net-peerings', 'Net peerings'],
  ['endpoints', 'Endpoints'],
  ['network', 'Network configuration'],
  ['drops', 'Drops'],
  [`why?source=${stranger}`, 'Why'],
  ['history?generation=3', 'History'],
];
const looks = [
  ['light', {width: 1280, height: 800}],
  ['dark', {width: 1280, height: 800}],
  ['light', {width: 375, height: 700}],
];

for (const [scheme, size] of looks) {
  test(`every page is accessible and fits, ${scheme}, ${size.width} pixels wide`, async () => {
    await operator.emulateMedia({colorScheme: scheme});
    await operator.setViewportSize(size);
    for (const [place, heading] of pages) {
      await visit(operator, place, heading);
      await operator.locator('#page table:visible, #page .moat-answer').first().waitFor();
      const what = `${place}, ${scheme}, ${size.width}`;
      await operator.screenshot({
        path: `${pictures}/${place.replace(/\W+/g, '-')}-${scheme}-${size.width}.png`,
        fullPage: true,
      });
      await checkWidth(operator, what);
      await checkAccessibility(operator, what);
    }
    await visit(operator, 'rules', 'Internet access');
    await startRule('203.0.113.200/32');
    await isTaken();
    await operator.screenshot({path: `${pictures}/new-rule-${scheme}-${size.width}.png`});
    await checkAccessibility(operator, `New rule, ${scheme}, ${size.width}`);
    await operator.keyboard.press('Escape');
  });
}

test('no page has thrown anything, nor asked for what the content security policy forbids', async () => {
  assert.deepEqual(takeComplaints(), []);
});

const failed = await runTests();
await closeBrowser();
// What carries out orders still listens, so that nothing ends by itself.
process.exit(failed ? 1 : 0);
