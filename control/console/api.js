// SPDX-License-Identifier: BSD-2-Clause
// moatd's control socket, see CONTROL SOCKET in moatd(8). Asked as whoever is signed in, so that
// the history names them; by root where they may not use the socket and Cockpit has given them
// administrative access.
/* global cockpit */

const socket = cockpit.manifests?.moat?.config?.socket ?? '/run/moat/moatd.sock';

// Why there is no answer. `reason`: 'refused' by moatd, 'stopped' (nothing has the socket), 'denied'
// (one may not use it), or 'lost' (Cockpit has no connection).
export class Refusal extends Error {
  constructor(reason, {message, remedy = '', code = '', kind = '', faults = []}) {
    super(message);
    Object.assign(this, {reason, remedy, code, kind, faults});
  }
}

const asUser = cockpit.http({unix: socket});
const asRoot = cockpit.http({unix: socket, superuser: 'require'});
let way = asUser;

// The group whose members may change what they like: see FILES in moatd(8).
const group = 'moat';

// Whether who is signed in may change rules, or only look.
export async function findMayChange() {
  const {id, groups = []} = await cockpit.user();
  return id === 0 || groups.includes(group) || (await hasAdministrativeAccess());
}

function hasAdministrativeAccess() {
  const permission = cockpit.permission({admin: true});
  return new Promise(resolve => {
    if (permission.allowed !== null) resolve(permission.allowed);
    else permission.addEventListener('changed', () => resolve(permission.allowed));
  });
}

const reasons = {'access-denied': 'denied', 'not-found': 'stopped', disconnected: 'stopped'};

function refusal(problem, body) {
  if (problem.problem) {
    return new Refusal(reasons[problem.problem] ?? 'lost', {message: cockpit.message(problem)});
  }
  try {
    return new Refusal('refused', JSON.parse(body).error);
  } catch {
    return new Refusal('refused', {
      message: `moatd answers with ${problem.status} ${problem.reason}`,
    });
  }
}

const query = parameters =>
  Object.entries(parameters)
    .filter(([, value]) => value !== undefined && value !== '')
    .map(([name, value]) => `${name}=${encodeURIComponent(value)}`)
    .join('&');

// The answer, a promise with end(), which gives up waiting for it.
function send(channel, method, path, parameters, body) {
  const asked = query(parameters);
  const request = channel.request({
    method,
    path: path + (asked && `?${asked}`),
    body: body === undefined ? '' : JSON.stringify(body),
  });
  const answer = new Promise((resolve, reject) => {
    request.then(
      text => resolve(JSON.parse(text)),
      (problem, text) => reject(refusal(problem, text)),
    );
  });
  answer.end = () => request.close('cancelled');
  return answer;
}

async function ask(method, path, parameters = {}, body = undefined) {
  try {
    return await send(way, method, path, parameters, body);
  } catch (refused) {
    const isNotAllowed = refused.reason === 'denied' || refused.kind === 'forbidden';
    if (!isNotAllowed || way === asRoot) throw refused;
    const answer = await send(asRoot, method, path, parameters, body).catch(() => {
      throw refused;
    });
    way = asRoot;
    return answer;
  }
}

export const get = (path, parameters) => ask('GET', path, parameters);
export const post = (path, parameters, body) => ask('POST', path, parameters, body);
export const patch = (path, parameters, body) => ask('PATCH', path, parameters, body);
export const remove = (path, parameters) => ask('DELETE', path, parameters);
// One that is answered when there is something to tell.
export const wait = (path, parameters) => send(way, 'GET', path, parameters);
