// What people see of the provider of the tests: who they are, the pages where they
// log in and out, and how it tells relying parties that somebody has logged out.
import * as http from 'node:http';
import * as https from 'node:https';

const groups = { ada: ['admins', 'staff'], bob: ['staff'] };

// Everybody can log in, with any password but "wrong".
export function claimsOf(id) {
  return {
    email: `${id}@example.test`,
    email_verified: true,
    name: `${id[0].toUpperCase()}${id.slice(1)} Example`,
    groups: groups[id] ?? [],
  };
}

const page = (title, content) => `<!doctype html><html lang="en"><meta charset="utf-8"><title>${title}</title><h1>${title}</h1>${content}`;

const loginPage = page('Log in at the provider', `<form method="post">
<input id="username" name="username"><input id="password" name="password" type="password">
<button type="submit">Log in</button></form><form method="post"><button id="deny" name="deny" value="1">No</button></form>`);

async function fieldsOf(request) {
  let text = '';
  for await (const chunk of request) text += chunk;
  return new URLSearchParams(text);
}

// interact shows the login form and takes it.
export async function interact(provider, request, response) {
  const { prompt } = await provider.interactionDetails(request, response);
  if (prompt.name !== 'login') throw new Error(`unexpected prompt ${prompt.name}: ${prompt.reasons}`);
  const fields = request.method === 'POST' ? await fieldsOf(request) : new URLSearchParams();
  const username = fields.get('username');
  const finish = (result) => provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
  if (fields.has('deny')) {
    await finish({ error: 'access_denied', error_description: '<script>alert(1)</script> words of the provider' });
    return;
  }
  if (username && fields.get('password') !== 'wrong') {
    await finish({ login: { accountId: username } });
    return;
  }
  response.writeHead(200, { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' });
  response.end(loginPage);
}

// logoutPage asks whether to log out at the provider. The form has the id of
// oidc-provider's own.
export function logoutPage(ctx, form) {
  ctx.body = page('Log out at the provider?', `${form}
<button id="logout" form="op.logoutForm" name="logout" value="yes">Log out</button>`);
}

// deliver sends a logout token. Every name below localhost is this machine, and its
// certificates are made by the Caddy of the test.
export function deliver(url, { method, headers, body }) {
  const { request } = new URL(url).protocol === 'https:' ? https : http;
  const lookup = (_name, { all }, done) => (all ? done(null, [{ address: '127.0.0.1', family: 4 }]) : done(null, '127.0.0.1', 4));
  return new Promise((resolve, reject) => {
    const sent = request(url, { method, headers: Object.fromEntries(new Headers(headers)), lookup, rejectUnauthorized: false }, (answer) => {
      answer.resume();
      answer.on('end', () => resolve(new Response(null, { status: answer.statusCode })));
    });
    sent.on('error', reject);
    sent.end(body && String(body));
  });
}
