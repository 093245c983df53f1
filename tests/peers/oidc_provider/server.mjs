// The npm package oidc-provider on loopback, with the password grant added (RFC 6749 §4.3).
// Usage: node server.mjs PORT. Prints one line when it listens; ends on SIGTERM.

import { generateKeyPairSync } from 'node:crypto';
import Provider, { errors } from 'oidc-provider';

const port = Number(process.argv[2]);
const issuer = `http://127.0.0.1:${port}`;
const audience = 'urn:gateway';
const passwords = new Map([['john', 'doe'], ['jürgen', 'p:ä ß%+&']]);

const signingKey = (kid, alg, type, options) => ({
  ...generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' }),
  kid,
  alg,
  use: 'sig',
});

const client = (client_id, client_secret, grant_types, more = {}) => ({
  client_id,
  client_secret,
  grant_types,
  redirect_uris: [],
  response_types: [],
  ...more,
});
const es256 = { id_token_signed_response_alg: 'ES256' };
const post = { token_endpoint_auth_method: 'client_secret_post' };

const resourceServer = (ctx, indicator, { clientId }) => ({
  scope: 'profile',
  audience,
  accessTokenTTL: 300,
  accessTokenFormat: 'jwt',
  jwt: { sign: { alg: clientId.includes('es256') ? 'ES256' : 'RS256' } },
});

const provider = new Provider(issuer, {
  jwks: {
    keys: [
      signingKey('rsa-1', 'RS256', 'rsa', { modulusLength: 2048 }),
      signingKey('ec-1', 'ES256', 'ec', { namedCurve: 'P-256' }),
    ],
  },
  clients: [
    client('kong', 'kong-secret', ['password', 'client_credentials', 'refresh_token']),
    client('kong-es256', 'kong-secret', ['password', 'client_credentials'], es256),
    client('kong-post', 'kong-post-secret', ['password', 'client_credentials'], post),
    client('service', 'service-secret', ['client_credentials']),
    client('service-es256', 'service-secret', ['client_credentials'], es256),
  ],
  scopes: ['openid', 'offline_access', 'profile'],
  findAccount: (ctx, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    introspection: { enabled: true, allowedPolicy: () => true },
    revocation: { enabled: true, allowedPolicy: () => true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => audience,
      useGrantedResource: () => true,
      getResourceServerInfo: resourceServer,
    },
  },
});

const passwordGrant = async (ctx) => {
  const { client: asking, params } = ctx.oidc;
  const { username: accountId, password, scope = '' } = params;
  if (!passwords.has(accountId) || passwords.get(accountId) !== password) {
    throw new errors.InvalidGrant('wrong user name or password');
  }
  const grant = new provider.Grant({ accountId, clientId: asking.clientId });
  grant.addOIDCScope(scope);
  grant.addResourceScope(audience, 'profile');
  const grantId = await grant.save();
  const token = new provider.AccessToken({
    accountId,
    client: asking,
    grantId,
    gty: 'password',
    scope: 'profile',
  });
  token.resourceServer = new provider.ResourceServer(
    audience,
    resourceServer(ctx, audience, asking),
  );
  ctx.body = {
    access_token: await token.save(),
    expires_in: token.expiration,
    token_type: token.tokenType,
    scope: 'profile',
  };
};
provider.registerGrantType('password', passwordGrant, ['username', 'password', 'scope']);

const server = provider.listen(port, '127.0.0.1', () => console.log(`listening ${issuer}`));
process.on('SIGTERM', () => {
  server.close();
  server.closeAllConnections();
});
