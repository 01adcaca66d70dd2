// An OpenID provider for the tests: oidc-provider, in which everybody agrees to everything at once.
// Prints its issuer. GET /approve?code=..&user=.. does what somebody does on another device;
// GET /browse?to=..&user=.. does what a browser does, up to where it comes back to.
'use strict';

const http = require('node:http');
const path = require('node:path');
const { pathToFileURL } = require('node:url');

const [port] = process.argv.slice(2);
const module_ = path.join(process.env.NODE_PATH, 'oidc-provider', 'lib', 'index.js');
const SCOPE = 'openid profile email';

async function main() {
  const { Provider } = await import(pathToFileURL(module_));
  const server = http.createServer();
  await new Promise((done) => server.listen(Number(port || 0), '127.0.0.1', done));
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [{
      client_id: 'hallpass',
      client_secret: 'the-secret-of-hallpass',
      application_type: 'native',
      grant_types: ['authorization_code', 'urn:ietf:params:oauth:grant-type:device_code'],
      redirect_uris: ['http://127.0.0.1/callback', 'https://hallpass.example.com/sign-in/callback'],
      response_types: ['code'],
    }],
    features: { deviceFlow: { enabled: true }, devInteractions: { enabled: false } },
    pkce: { required: () => true },
    claims: { openid: ['sub', 'amr'], profile: ['preferred_username', 'groups'], email: ['email', 'email_verified'] },
    // Claims in the ID token itself, as most providers are set up.
    conformIdTokenClaims: false,
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    findAccount: (_, id) => ({
      accountId: id,
      claims: async () => ({
        sub: `subject-of-${id}`,
        preferred_username: id,
        groups: (groups.get(id) || 'engineers').split(','),
        email: `${id}@example.com`,
        email_verified: true,
      }),
    }),
    cookies: { keys: ['tests'] },
  });
  const groups = new Map();
  const users = new Map();

  async function grant(accountId) {
    const granted = new provider.Grant({ accountId, clientId: 'hallpass' });
    granted.addOIDCScope(SCOPE);
    return granted.save();
  }

  async function interact(request, response) {
    const details = await provider.interactionDetails(request, response);
    const accountId = users.get('browser');
    const grantId = await grant(accountId);
    const result = { login: { accountId, amr: ['pwd', 'mfa'] }, consent: { grantId } };
    await provider.interactionFinished(request, response, result);
    return details;
  }

  async function approve(code, accountId) {
    const device = await provider.DeviceCode.findByUserCode(code.replaceAll('-', ''));
    Object.assign(device, {
      accountId,
      grantId: await grant(accountId),
      scope: SCOPE,
      authTime: Math.floor(Date.now() / 1000),
      amr: ['pwd'],
    });
    await device.save();
  }

  // Follows redirects with cookies, as browsers do, until another host is named.
  async function browse(to) {
    const cookies = new Map();
    for (let hops = 0; hops < 10 && to.startsWith(issuer); hops += 1) {
      const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
      const answer = await fetch(to, { redirect: 'manual', headers: { cookie } });
      for (const line of answer.headers.getSetCookie()) {
        const [pair] = line.split(';');
        const [name, ...value] = pair.split('=');
        cookies.set(name, value.join('='));
      }
      const location = answer.headers.get('location');
      if (!location) return `${answer.status} ${await answer.text()}`;
      to = new URL(location, to).href;
    }
    return to;
  }

  const callback = provider.callback();
  server.on('request', async (request, response) => {
    const url = new URL(request.url, issuer);
    const asked = (name) => url.searchParams.get(name);
    try {
      if (url.pathname.startsWith('/interaction/')) {
        await interact(request, response);
      } else if (url.pathname === '/approve') {
        if (asked('groups')) groups.set(asked('user'), asked('groups'));
        await approve(asked('code'), asked('user'));
        response.end('approved');
      } else if (url.pathname === '/browse') {
        users.set('browser', asked('user'));
        response.end(await browse(asked('to')));
      } else {
        callback(request, response);
      }
    } catch (error) {
      response.statusCode = 500;
      response.end(String(error.stack));
    }
  });
  console.log(issuer);
}

main();
