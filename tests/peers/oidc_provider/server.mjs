// The npm package oidc-provider on loopback, with the password grant added (RFC 6749 §4.3).
// Usage: node server.mjs PORT [FOLDER MTLS_PORT]. Prints one line when it listens; ends on SIGTERM.
// With a FOLDER it serves https with server.pem of there, and on MTLS_PORT it asks for client
// certificates of ca.pem; self-signed.pem is the certificate of the client kong-self-signed.

import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import https from 'node:https';
import Provider, { errors } from 'oidc-provider';

const port = Number(process.argv[2]);
const folder = process.argv[3];
const mtlsPort = Number(process.argv[4]);
const issuer = `${folder ? 'https' : 'http'}://127.0.0.1:${port}`;
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
const secretJwt = { token_endpoint_auth_method: 'client_secret_jwt' };
const publicClient = { token_endpoint_auth_method: 'none' };

// Clients that show a certificate, and where they show it (RFC 8705 §2, §5).
const certified = () => {
  const certificate = new X509Certificate(readFileSync(`${folder}/self-signed.pem`));
  const jwk = {
    ...certificate.publicKey.export({ format: 'jwk' }),
    x5c: [certificate.raw.toString('base64')],
  };
  return [
    client('kong-x509', undefined, ['password'], {
      token_endpoint_auth_method: 'tls_client_auth',
      tls_client_auth_san_dns: 'gateway.example',
    }),
    client('kong-self-signed', undefined, ['password'], {
      token_endpoint_auth_method: 'self_signed_tls_client_auth',
      jwks: { keys: [jwk] },
    }),
  ];
};
const mTLS = {
  enabled: Boolean(folder),
  tlsClientAuth: true,
  selfSignedTlsClientAuth: true,
  getCertificate: (ctx) => ctx.socket.getPeerX509Certificate?.(),
  certificateAuthorized: (ctx) => ctx.socket.authorized,
  certificateSubjectMatches: (ctx, property, expected) =>
    property === 'tls_client_auth_san_dns' &&
    ctx.socket.getPeerX509Certificate().subjectAltName === `DNS:${expected}`,
};
const aliases = { mtls_endpoint_aliases: { token_endpoint: `https://127.0.0.1:${mtlsPort}/token` } };

const resourceServer = (ctx, indicator, { clientId }) => ({
  scope: 'profile',
  audience,
  accessTokenTTL: 300,
  accessTokenFormat: clientId.includes('opaque') ? 'opaque' : 'jwt',
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
    client('kong-opaque', 'kong-secret', ['password']),
    client('kong-post', 'kong-post-secret', ['password', 'client_credentials'], post),
    client('kong-secret-jwt', 'kong-secret-jwt-0123456789abcdef', ['password'], secretJwt),
    client('kong-public', undefined, ['password'], publicClient),
    ...(folder ? certified() : []),
    client('service', 'service-secret', ['client_credentials']),
    client('service-es256', 'service-secret', ['client_credentials'], es256),
  ],
  clientAuthMethods: [
    'client_secret_basic',
    'client_secret_jwt',
    'client_secret_post',
    'private_key_jwt',
    'none',
    ...(folder ? ['tls_client_auth', 'self_signed_tls_client_auth'] : []),
  ],
  discovery: folder ? aliases : {},
  // The dispatcher refuses loopback addresses, where the tests' clients publish their keys.
  fetch: (url, { dispatcher, ...options }) => globalThis.fetch(url, options),
  enabledJWA: {
    clientAuthSigningAlgValues: [
      ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
      ...['ES256', 'ES384', 'ES512', 'EdDSA', 'HS256', 'HS384', 'HS512'],
    ],
  },
  scopes: ['openid', 'offline_access', 'profile'],
  rotateRefreshToken: true,
  findAccount: (ctx, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    mTLS,
    registration: { enabled: true },
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

// Who asks for offline_access gets a refresh token, good once: who reuses one ends the grant.
const refreshToken = async (more) => {
  const token = new provider.RefreshToken({ ...more, scope: 'profile', resource: audience });
  return { refresh_token: await token.save() };
};

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
  const offline = scope.split(' ').includes('offline_access');
  const more = { accountId, client: asking, grantId, gty: 'password' };
  ctx.body = {
    ...(offline ? await refreshToken(more) : {}),
    access_token: await token.save(),
    expires_in: token.expiration,
    token_type: token.tokenType,
    scope: 'profile',
  };
};
provider.registerGrantType('password', passwordGrant, ['username', 'password', 'scope']);

const tls = () => {
  const pem = readFileSync(`${folder}/server.pem`);
  const asking = { ca: readFileSync(`${folder}/ca.pem`), requestCert: true };
  const mtls = { cert: pem, key: pem, ...asking, rejectUnauthorized: false };
  return [
    https.createServer(mtls, provider.callback()).listen(mtlsPort, '127.0.0.1'),
    https.createServer({ cert: pem, key: pem }, provider.callback()).listen(port, '127.0.0.1'),
  ];
};
const servers = folder ? tls() : [provider.listen(port, '127.0.0.1')];
servers.at(-1).on('listening', () => console.log(`listening ${issuer}`));
process.on('SIGTERM', () => {
  for (const server of servers) {
    server.close();
    server.closeAllConnections();
  }
});
