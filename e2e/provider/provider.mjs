// A real OpenID provider for the end-to-end tests: oidc-provider on loopback.
//
//   node provider.mjs ['{"port": 8080, "issuer": "http://127.0.0.1:8080"}']
//
// Both members may be left out: a free port, and the address it listens on. The
// first line on stdout is {"port", "issuer"}; the process ends when stdin closes.
//
// Clients get tokens by the client_credentials grant for a resource of the form
// https://<audience>/?alg=<RS256|PS256|ES256|EdDSA>&ttl=<seconds>; its origin is
// the token's audience. A resource without a query is itself the audience. Tokens are
// JWTs, but opaque with &format=opaque, of which every client may ask what they are.
// People log in at pages of login.mjs.
//
// POST /__control/<what> with a JSON body:
//   rotate {"keep": false}             new signing keys; forgets the old ones unless
//                                      they are to be kept
//   client {"client_id": ..., "ttl", "claims"}
//                                      registers a client (RFC 7591); ttl is the life of
//                                      its access tokens in seconds, claims are in those
//                                      that it gets for itself
//   account {"id", "claims"}           what is known of somebody; no claims: nothing,
//                                      the account is gone
//   counts {}                          answers how many grants of a type succeeded and
//                                      failed since the last call
import * as http from 'node:http';
import { createPrivateKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import { Provider } from 'oidc-provider';
import { claimsOf, deliver, interact, logoutPage } from './login.mjs';

const options = JSON.parse(process.argv[2] ?? '{}');

// machine is what a client says that logs nobody in.
const machine = { grant_types: ['client_credentials'], redirect_uris: [], response_types: [] };

const clients = ['admins', 'readers'].map((group) => ({
  client_id: `${group}-cli`,
  client_secret: `${group}-cli-secret-of-the-tests`,
  ...machine,
  groups: [group],
}));

// The RSA key names no algorithm, so it signs RS256 and PS256.
const kinds = [
  { type: 'rsa', options: { modulusLength: 2048 }, signs: ['RS256', 'PS256'], members: {} },
  { type: 'ec', options: { namedCurve: 'P-256' }, signs: ['ES256'], members: { alg: 'ES256' } },
  { type: 'ed25519', signs: ['EdDSA'], members: { alg: 'EdDSA' } },
];

function newKeys() {
  return kinds.map(({ type, options: how, signs, members }) => {
    // By way of PEM: exporting a key object that was just generated as a JWK can wait
    // for ever in Node 20, when the generator is collected meanwhile.
    const { privateKey: pem } = generateKeyPairSync(type, {
      ...how, publicKeyEncoding: { type: 'spki', format: 'pem' }, privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    });
    const privateKey = createPrivateKey(pem);
    const kid = `${type}-${randomBytes(6).toString('hex')}`;
    return { signs, jwk: { ...privateKey.export({ format: 'jwk' }), ...members, use: 'sig', kid } };
  });
}

// One map for every Provider, so that a rotation loses no state.
const state = new Map();
class Adapter {
  constructor(model) { this.prefix = `${model}:`; }
  async upsert(id, payload) { state.set(this.prefix + id, payload); }
  async find(id) { return state.get(this.prefix + id); }
  async consume(id) { state.get(this.prefix + id).consumed = Math.floor(Date.now() / 1000); }
  async destroy(id) { state.delete(this.prefix + id); }
  async findByUid(uid) { return this.#first((p) => p.uid === uid); }
  async findByUserCode(code) { return this.#first((p) => p.userCode === code); }
  async revokeByGrantId(grantId) {
    const token = /^(AccessToken|AuthorizationCode|RefreshToken):/;
    for (const [key, p] of state) if (token.test(key) && p.grantId === grantId) state.delete(key);
  }
  #first(fits) {
    for (const [key, p] of state) if (key.startsWith(this.prefix) && fits(p)) return p;
    return undefined;
  }
}

const lives = new Map(); // of access tokens by client_id, in seconds
const machineClaims = new Map(); // claims in tokens of clients, by client_id
const accounts = new Map(); // claims by id, where they are not those of login.mjs
let counts = {};

function findAccount(_ctx, id) {
  const known = accounts.has(id) ? accounts.get(id) : claimsOf(id);
  return known ? { accountId: id, claims: () => ({ sub: id, ...known }) } : undefined;
}

// Nobody is asked for consent.
async function grantAll(ctx) {
  const { provider, session, client, params, requestParamOIDCScopes } = ctx.oidc;
  const grant = new provider.Grant({ accountId: session.accountId, clientId: client.clientId });
  grant.addOIDCScope([...requestParamOIDCScopes].join(' '));
  for (const resource of [params.resource ?? []].flat()) grant.addResourceScope(resource, 'read write mcp:tools');
  await grant.save();
  return grant;
}

function resourceServer(_ctx, resource) {
  const url = new URL(resource);
  const alg = url.searchParams.get('alg') ?? 'RS256';
  const signer = keys.find(({ signs }) => signs.includes(alg));
  return {
    scope: 'read write mcp:tools',
    audience: url.search ? url.origin : resource,
    accessTokenTTL: Number(url.searchParams.get('ttl') ?? 3600),
    accessTokenFormat: url.searchParams.get('format') ?? 'jwt',
    jwt: { sign: { alg, kid: signer?.jwk.kid } },
  };
}

function callback(issuer) {
  const provider = new Provider(issuer, {
    adapter: Adapter,
    clients: clients.map(({ groups, ...client }) => client),
    claims: {
      openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'], groups: ['groups'],
    },
    conformIdTokenClaims: false,
    cookies: { keys: [cookieKey] },
    jwks: { keys: [...keys, ...oldKeys].map(({ jwk }) => jwk) },
    enabledJWA: { idTokenSigningAlgValues: kinds.flatMap(({ signs }) => signs) },
    features: {
      backchannelLogout: { enabled: true },
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      introspection: { enabled: true, allowedPolicy: () => true },
      revocation: { enabled: true },
      resourceIndicators: { enabled: true, getResourceServerInfo: resourceServer, useGrantedResource: () => true },
      rpInitiatedLogout: { enabled: true, logoutSource: logoutPage },
    },
    extraTokenClaims: (ctx, token) => machineClaims.get(token.clientId) ?? ({
      groups: clients.find(({ client_id: id }) => id === token.clientId)?.groups
        ?? findAccount(ctx, token.accountId)?.claims().groups,
    }),
    fetch: deliver,
    findAccount,
    issueRefreshToken: (_ctx, client) => client.grantTypeAllowed('refresh_token'),
    loadExistingGrant: grantAll,
    pkce: { required: () => true },
    rotateRefreshToken: true,
    scopes: ['openid', 'read', 'write', 'groups', 'offline_access', 'mcp:tools'],
    ttl: {
      AccessToken: (_ctx, token, client) => token.resourceServer?.accessTokenTTL ?? lives.get(client.clientId) ?? 3600,
      IdToken: 3600,
    },
  });
  provider.proxy = true;
  for (const event of ['success', 'error']) {
    provider.on(`grant.${event}`, (ctx) => {
      const name = `${ctx.oidc.params?.grant_type} ${event}`;
      counts[name] = (counts[name] ?? 0) + 1;
    });
  }
  for (const event of ['server_error', 'authorization.error', 'end_session.error']) {
    provider.on(event, (_ctx, err) => console.error(event, err));
  }
  const serve = provider.callback();
  return (request, response) => {
    if (!request.url.startsWith('/interaction/')) return serve(request, response);
    return interact(provider, request, response)
      .catch((err) => response.writeHead(400, { 'content-type': 'text/plain' }).end(`interaction: ${err.message}`));
  };
}

const cookieKey = randomBytes(16).toString('hex');
let keys = newKeys();
let oldKeys = [];
let handle;

async function body(request) {
  let text = '';
  for await (const chunk of request) text += chunk;
  return text;
}

const controls = {
  rotate({ keep }) {
    oldKeys = keep ? [...keys, ...oldKeys] : [];
    keys = newKeys();
    handle = callback(issuer);
    return { kids: [...keys, ...oldKeys].map(({ jwk }) => jwk.kid) };
  },
  client({ ttl, claims, ...client }) {
    state.set(`Client:${client.client_id}`, claims ? { ...machine, ...client } : client);
    lives.set(client.client_id, ttl);
    if (claims) machineClaims.set(client.client_id, claims);
    return {};
  },
  account({ id, claims }) {
    accounts.set(id, claims);
    return {};
  },
  counts() {
    const counted = counts;
    counts = {};
    return counted;
  },
};

async function control(request, response) {
  const act = request.method === 'POST' && controls[request.url.slice('/__control/'.length)];
  if (!act) {
    response.writeHead(404).end();
    return;
  }
  const answer = act(JSON.parse((await body(request)) || '{}'));
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(JSON.stringify(answer));
}

const server = http.createServer((request, response) => {
  if (request.url.startsWith('/__control/')) {
    control(request, response).catch((err) => response.writeHead(400).end(String(err)));
    return;
  }
  handle(request, response);
});

let issuer = options.issuer;
server.listen(options.port ?? 0, '127.0.0.1', () => {
  const { port } = server.address();
  issuer ??= `http://127.0.0.1:${port}`;
  handle = callback(issuer);
  console.log(JSON.stringify({ port, issuer }));
});

process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
process.stdin.on('error', () => process.exit(0));
