/*
 * Basic (RFC 7617) and Digest (RFC 7616) as HTTP and RTSP servers ask for them. Nonces are
 * stateless, so a nonce count may be used again while its nonce lasts; TLS is what prevents replay.
 */
#include "protocols/authenticate.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "protocols/authenticate_private.h"
#include "protocols/base64.h"
#include "protocols/digest.h"
#include "server/base/audit.h"
#include "server/base/log.h"
#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "server/base/recent.h"
#include "server/base/scrypt.h"
#include "server/base/worker.h"

enum {
	NONCE_SECRET_BYTES = 32,
	NONCE_TIME_DIGITS = 16,
	NONCE_HASH_BYTES = 16,
	NONCE_BYTES = NONCE_TIME_DIGITS + 1 + 2 * NONCE_HASH_BYTES + 1,
	TOKEN_DIGEST_BYTES = 29, /* SHA-1 in Base64 */
};
enum {
	LOGINS = 256,
	VERIFIED = 64,
	CHECKS = 8, /* that wait for the worker; more are refused */
	BUSY_RETRY_US = 2000000,
};
#define NONCE_LIFE_US (INT64_C(300) * 1000000)
#define LOGIN_LIFE_US (INT64_C(600) * 1000000)
#define VERIFIED_LIFE_US (INT64_C(600) * 1000000)

/* A password on its way through the worker. */
struct authenticate_check {
	struct worker_job job;
	struct authenticate_asker *asker; /* of the reactor; NULL when it has gone */
	char *hash, *password;
	unsigned char key[RECENT_KEY_BYTES];
	bool is_right;
};

static struct {
	const struct auth_users *users;
	unsigned char secret[NONCE_SECRET_BYTES];
	bool has_secret;
	/* NULL until somebody connects: */
	struct login_limit *limit;
	struct recent *logins; /* over HTTP that the audit has; that knows no sessions */
	struct recent
		*verified;     /* hashes and passwords that belong together, as the worker found */
	struct worker *worker; /* NULL until a password is kept by scrypt */
	struct login_sessions *sessions;
	struct login_store *store; /* NULL: they end with the process */
} authenticate_state;

void authenticate_set_users(const struct auth_users *users)
{
	authenticate_state.users = users;
	if (authenticate_state.verified)
		recent_clear(authenticate_state.verified);
	if (authenticate_state.sessions)
		login_sessions_review(authenticate_state.sessions, users);
	login_store_look(authenticate_state.store);
}

bool authenticate_is_open(void)
{
	return !authenticate_state.users || TAILQ_EMPTY(authenticate_state.users);
}

static void authenticate_init(void)
{
	if (authenticate_state.limit)
		return;
	authenticate_state.limit = login_limit_new();
	authenticate_state.logins = recent_new(LOGINS, LOGIN_LIFE_US);
	authenticate_state.verified = recent_new(VERIFIED, VERIFIED_LIFE_US);
	authenticate_state.sessions = login_sessions_new(login_now());
	login_sessions_review(authenticate_state.sessions, authenticate_state.users);
}

void authenticate_fini(void)
{
	login_store_free(authenticate_state.store); /* before its sessions end */
	authenticate_state.store = NULL;
	authenticate_set_users(NULL);
	login_limit_free(authenticate_state.limit);
	worker_free(authenticate_state.worker);
	recent_free(authenticate_state.verified);
	recent_free(authenticate_state.logins);
	login_sessions_free(authenticate_state.sessions);
	authenticate_state.limit = NULL;
	authenticate_state.sessions = NULL;
	authenticate_state.logins = authenticate_state.verified = NULL;
	authenticate_state.worker = NULL;
}

void authenticate_asker_init(struct authenticate_asker *asker, const char *protocol,
	const struct sockaddr *address, void (*on_known)(void *arg), void *arg)
{
	*asker = (struct authenticate_asker){
		.protocol = protocol, .address = address, .on_known = on_known, .arg = arg
	};
	asker->failures = metric_get(METRIC_AUTH_FAILURES, protocol);
	asker->limited = metric_get(METRIC_AUTH_LIMITED, protocol);
	authenticate_init();
}

void authenticate_asker_move(struct authenticate_asker *asker, const struct sockaddr *address)
{
	asker->address = address;
	asker->known[0] = '\0';
}

void authenticate_asker_fini(struct authenticate_asker *asker)
{
	if (asker->check)
		asker->check->asker = NULL;
	asker->check = NULL;
}

/* Made on first use, so that every process has its own. */
static const unsigned char *authenticate_secret(void)
{
	if (!authenticate_state.has_secret) {
		if (RAND_bytes(authenticate_state.secret, NONCE_SECRET_BYTES) != 1) {
			log_error(NULL, "no random numbers are to be had");
			abort();
		}
		authenticate_state.has_secret = true;
	}
	return authenticate_state.secret;
}

/* The nonce of that instant of the monotonic clock. */
static void authenticate_nonce_of(char ret[NONCE_BYTES], int64_t at_us)
{
	unsigned char hash[EVP_MAX_MD_SIZE];
	unsigned hash_bytes = 0;
	char *at = ret + NONCE_TIME_DIGITS + 1;

	(void)snprintf(ret, NONCE_BYTES, "%016" PRIx64 "-", (uint64_t)at_us);
	if (!HMAC(EVP_sha256(), authenticate_secret(), NONCE_SECRET_BYTES,
		    (const unsigned char *)ret, NONCE_TIME_DIGITS, hash, &hash_bytes))
		abort();
	for (unsigned i = 0; i < NONCE_HASH_BYTES; i++, at += 2)
		(void)snprintf(at, 3, "%02x", hash[i]);
}

/* Ours, and not too old. */
static bool authenticate_nonce_is_fresh(const char *nonce, int64_t now_us)
{
	char expected[NONCE_BYTES];
	char *end;

	if (strlen(nonce) != NONCE_BYTES - 1)
		return false;
	int64_t at_us = (int64_t)strtoull(nonce, &end, 16);
	if (end != nonce + NONCE_TIME_DIGITS)
		return false;
	authenticate_nonce_of(expected, at_us);
	return auth_equal(expected, nonce) && at_us <= now_us && now_us - at_us < NONCE_LIFE_US;
}

/* The path and query of an absolute URI; relative ones are returned whole. */
static const char *authenticate_path_of(const char *uri)
{
	const char *host = strstr(uri, "://");
	const char *slash = strchr(uri, '/');

	if (!host || (slash && slash < host))
		return uri;
	slash = strchr(host + 3, '/');
	return slash ? slash : "/";
}

/* Whether `shorter` is `longer`, or one of its folders. */
static bool authenticate_is_prefix(const char *shorter, const char *longer)
{
	size_t n = strlen(shorter);

	if (n && shorter[n - 1] == '/')
		n--;
	return strncmp(shorter, longer, n) == 0 &&
	       (longer[n] == '\0' || longer[n] == '/' || longer[n] == '?');
}

bool authenticate_uri_matches(const char *uri, const char *target)
{
	if (strcmp(uri, target) == 0)
		return true;
	if (strncmp(target, "rtsp://", 7) != 0 && strncmp(target, "rtsps://", 8) != 0)
		return false;
	uri = authenticate_path_of(uri);
	target = authenticate_path_of(target);
	return *uri == '/' &&
	       (authenticate_is_prefix(uri, target) || authenticate_is_prefix(target, uri));
}

/* An unknown name costs the same work as a known one. */
static const struct auth_user *authenticate_find(const char *name, bool *known)
{
	static char nobody[] = "";
	static const struct auth_user stranger = { .name = nobody, .password = nobody };
	const struct auth_user *user = auth_find(authenticate_state.users, name, strlen(name));

	*known = user != NULL;
	return user ? user : &stranger;
}

static bool authenticate_is_hash(const char *password)
{
	return auth_is_hash(password) || scrypt_is_hash(password);
}

/* Whose password it was. */
struct authenticate_found {
	const struct auth_user *user;
	const struct auth_app_password *app; /* NULL: the user's own */
};

/* Looks for the one of the user's passwords that fits what was given. */
static bool authenticate_fit(struct authenticate_found *ret, const struct auth_user *user,
	bool (*fits)(const struct auth_user *with, const void *given), const void *given)
{
	const struct auth_app_password *app;

	*ret = (struct authenticate_found){ .user = user };
	if (fits(user, given))
		return true;
	TAILQ_FOREACH (app, &user->app_passwords, entry) {
		const struct auth_user with = { .name = user->name, .password = app->password };

		if (fits(&with, given)) {
			ret->app = app;
			return true;
		}
	}
	return false;
}

struct authenticate_response {
	const struct digest_credentials *credentials;
	const char *method;
};

static bool authenticate_response_fits(const struct auth_user *with, const void *given)
{
	const struct authenticate_response *response = given;
	const struct digest_credentials *c = response->credentials;
	char ha1[AUTH_HASH_HEX_BYTES], expected[AUTH_HASH_HEX_BYTES];

	auth_user_ha1(with, c->algorithm, ha1);
	auth_digest_response(c->algorithm, ha1, response->method, c->uri, c->nonce,
		c->has_qop ? c->nonce_count : NULL, c->cnonce, expected);
	return auth_equal(expected, c->response);
}

static enum authenticate_result authenticate_digest(const struct digest_credentials *c,
	struct message_text method, struct message_text target, struct authenticate_found *found)
{
	char method_text[32], target_text[sizeof(c->uri)];
	struct authenticate_response response = { c, method_text };
	bool known;
	const struct auth_user *user = authenticate_find(c->user, &known);

	if (method.n >= sizeof(method_text) || target.n >= sizeof(target_text))
		return AUTHENTICATE_WRONG;
	message_text_copy(method_text, sizeof(method_text), method);
	message_text_copy(target_text, sizeof(target_text), target);
	if (!authenticate_fit(found, user, authenticate_response_fits, &response))
		return scrypt_is_hash(user->password) ? AUTHENTICATE_UNFIT : AUTHENTICATE_WRONG;
	if (!known || strcmp(c->realm, AUTH_REALM) != 0 ||
		!authenticate_uri_matches(c->uri, target_text))
		return AUTHENTICATE_WRONG;
	if (!authenticate_nonce_is_fresh(c->nonce, reactor_monotonic_us()))
		return AUTHENTICATE_STALE;
	return AUTHENTICATED;
}

static enum authenticate_result authenticate_later(
	struct authenticate_asker *asker, int64_t wait_us)
{
	asker->retry_after_s = (unsigned)((wait_us + 999999) / 1000000);
	metric_add(asker->limited, 1);
	return AUTHENTICATE_LATER;
}

/* --- passwords that are kept by scrypt --- */

static void authenticate_check_free(struct authenticate_check *check)
{
	memory_free_secret(check->password);
	memory_free_secret(check->hash);
	free(check);
}

static void authenticate_check_run(struct worker_job *job)
{
	struct authenticate_check *check = CONTAINER_OF(job, struct authenticate_check, job);

	check->is_right = scrypt_matches(check->hash, check->password, strlen(check->password));
}

static void authenticate_check_done(struct worker_job *job)
{
	struct authenticate_check *check = CONTAINER_OF(job, struct authenticate_check, job);
	struct authenticate_asker *asker = check->asker;

	if (check->is_right)
		recent_add(authenticate_state.verified, check->key, reactor_monotonic_us());
	if (asker) {
		asker->check = NULL;
		asker->is_wrong = !check->is_right;
		memcpy(asker->wrong_key, check->key, sizeof(check->key));
	}
	authenticate_check_free(check);
	if (asker)
		asker->on_known(asker->arg);
}

static enum authenticate_result authenticate_post(struct authenticate_asker *asker,
	const char *hash, const char *password, const unsigned char key[RECENT_KEY_BYTES])
{
	struct authenticate_check *check = xcalloc(1, sizeof(*check));

	check->job.run = authenticate_check_run;
	check->job.done = authenticate_check_done;
	check->asker = asker;
	check->hash = xstrdup(hash);
	check->password = xstrdup(password);
	memcpy(check->key, key, sizeof(check->key));
	if (!authenticate_state.worker)
		authenticate_state.worker = worker_new("login", CHECKS, 1 << 20);
	if (worker_post(authenticate_state.worker, &check->job) < 0) {
		authenticate_check_free(check);
		return authenticate_later(asker, BUSY_RETRY_US);
	}
	asker->check = check;
	return AUTHENTICATE_PENDING;
}

/* AUTHENTICATED or WRONG when it is known already. */
static enum authenticate_result authenticate_scrypt(
	struct authenticate_asker *asker, const char *hash, const char *password)
{
	unsigned char key[RECENT_KEY_BYTES];
	bool is_wrong;

	if (asker->check)
		return AUTHENTICATE_PENDING;
	recent_key(key, (const char *const[]){ hash, password, NULL });
	if (recent_has(authenticate_state.verified, key, reactor_monotonic_us()))
		return AUTHENTICATED;
	is_wrong = asker->is_wrong && memcmp(asker->wrong_key, key, sizeof(key)) == 0;
	asker->is_wrong = false;
	return is_wrong ? AUTHENTICATE_WRONG : authenticate_post(asker, hash, password, key);
}

/* Of an unknown user: the hash of another one, if any is kept by scrypt, so that he takes as long. */
static const char *authenticate_decoy(void)
{
	const struct auth_user *user;

	TAILQ_FOREACH (user, authenticate_state.users, entry) {
		if (scrypt_is_hash(user->password))
			return user->password;
	}
	return "";
}

static bool authenticate_password_fits(const struct auth_user *with, const void *given)
{
	return auth_check_password(with, given, strlen(given));
}

static enum authenticate_result authenticate_plain(struct authenticate_asker *asker,
	const char *name, const char *password, struct authenticate_found *found)
{
	bool known;
	const struct auth_user *user = authenticate_find(name, &known);
	const char *kept = known ? user->password : authenticate_decoy();
	enum authenticate_result result = AUTHENTICATE_WRONG;

	if (authenticate_fit(found, user, authenticate_password_fits, password))
		result = AUTHENTICATED;
	else if (scrypt_is_hash(kept))
		result = authenticate_scrypt(asker, kept, password);
	return result == AUTHENTICATED && !known ? AUTHENTICATE_WRONG : result;
}

/* --- the verdict --- */

/* Whether the user may be judged now; on a connection where he has logged in he always may. */
static bool authenticate_is_early(struct authenticate_asker *asker, const char *name)
{
	int64_t wait_us;

	if (asker->known[0] && strcmp(asker->known, name) == 0)
		return false;
	wait_us = login_limit_wait_us(
		authenticate_state.limit, asker->address, name, reactor_monotonic_us());
	if (wait_us == 0)
		return false;
	(void)authenticate_later(asker, wait_us);
	return true;
}

static void authenticate_on_wrong(
	struct authenticate_asker *asker, const char *name, const char *why, int64_t now_us)
{
	const struct audit_actor actor = { name, asker->address, asker->protocol };

	asker->known[0] = '\0';
	metric_add(asker->failures, 1);
	login_limit_failed(authenticate_state.limit, asker->address, name, now_us);
	audit(&actor, "login-failed", "%s", why);
}

/* HTTP's connections come and go: what one user does there from one address within a while is one login. */
static bool authenticate_is_audited(
	const struct authenticate_asker *asker, const char *name, const char *app, int64_t now_us)
{
	char address[AUDIT_ADDRESS_BYTES];
	unsigned char key[RECENT_KEY_BYTES];

	if (strcmp(asker->protocol, "http") != 0)
		return false;
	audit_write_address(address, asker->address);
	recent_key(key, (const char *const[]){ name, app, address, NULL });
	bool is_recent = recent_has(authenticate_state.logins, key, now_us);
	recent_add(authenticate_state.logins, key, now_us);
	return is_recent;
}

/* Only the first success on a connection counts: what plays all day would forgive others behind its address. */
static void authenticate_on_right(
	struct authenticate_asker *asker, const struct authenticate_found *found, int64_t now_us)
{
	const char *name = found->user->name, *app = found->app ? found->app->name : "";
	const struct audit_actor actor = { name, asker->address, asker->protocol };

	asker->scopes = found->app ? found->app->scopes : SCOPE_ALL;
	if (strcmp(asker->known, name) == 0)
		return;
	if (!authenticate_is_audited(asker, name, app, now_us))
		audit(&actor, "login", "logged in%s%s",
			*app ? " with the application password " : "", app);
	(void)snprintf(asker->known, sizeof(asker->known), "%s", name);
	login_limit_succeeded(authenticate_state.limit, asker->address, name, now_us);
}

/* The verdict is in. Returns it. */
static enum authenticate_result authenticate_conclude(struct authenticate_asker *asker,
	const char *name, enum authenticate_result result, const struct authenticate_found *found)
{
	const char *why = "wrong user or password";

	if (result == AUTHENTICATE_UNFIT)
		why = "Digest cannot check a password that is kept by scrypt; Basic can";
	if (result == AUTHENTICATED && found->app &&
		!auth_app_password_is_valid(found->app, reactor_now_us())) {
		why = "the application password has expired, or the machine's clock is wrong";
		result = AUTHENTICATE_WRONG;
	}
	if (result == AUTHENTICATE_WRONG || result == AUTHENTICATE_UNFIT)
		authenticate_on_wrong(asker, name, why, reactor_monotonic_us());
	else if (result == AUTHENTICATED)
		authenticate_on_right(asker, found, reactor_monotonic_us());
	return result;
}

static enum authenticate_result authenticate_credentials(struct authenticate_asker *asker,
	const struct digest_credentials *c, struct message_text method, struct message_text target,
	struct authenticate_found *found)
{
	enum authenticate_result result;

	if (c->scheme == DIGEST_NONE)
		return AUTHENTICATE_MISSING;
	if (authenticate_is_early(asker, c->user))
		return AUTHENTICATE_LATER;
	if (c->scheme == DIGEST_BASIC)
		result = authenticate_plain(asker, c->user, c->password, found);
	else
		result = authenticate_digest(c, method, target, found);
	return authenticate_conclude(asker, c->user, result, found);
}

/* Everybody is let in. */
static enum authenticate_result authenticate_openly(struct authenticate_asker *asker)
{
	asker->scopes = SCOPE_ALL;
	return AUTHENTICATED;
}

enum authenticate_result authenticate(struct authenticate_asker *asker, struct message_text method,
	struct message_text target, struct message_text authorization,
	const struct auth_user **user)
{
	struct digest_credentials credentials;
	struct authenticate_found found = { 0 };
	enum authenticate_result result;
	const char *why;

	*user = NULL;
	if (authenticate_is_open())
		return authenticate_openly(asker);
	if (!authorization.p)
		return AUTHENTICATE_MISSING;
	if (digest_parse_credentials(&credentials, authorization.p, authorization.n, &why) < 0)
		return authenticate_conclude(asker, "", AUTHENTICATE_WRONG, &found);
	result = authenticate_credentials(asker, &credentials, method, target, &found);
	OPENSSL_cleanse(credentials.password, sizeof(credentials.password));
	if (result == AUTHENTICATED)
		*user = found.user;
	return result;
}

enum authenticate_result authenticate_password(struct authenticate_asker *asker, const char *name,
	const char *password, const struct auth_user **user)
{
	struct authenticate_found found = { 0 };
	enum authenticate_result result;

	*user = NULL;
	if (authenticate_is_open())
		return authenticate_openly(asker);
	if (authenticate_is_early(asker, name))
		return AUTHENTICATE_LATER;
	result = authenticate_plain(asker, name, password, &found);
	result = authenticate_conclude(asker, name, result, &found);
	if (result == AUTHENTICATED)
		*user = found.user;
	return result;
}

/* --- sessions --- */

void authenticate_begin_session(const struct auth_user *user, char token[LOGIN_TOKEN_BYTES])
{
	login_session_begin(authenticate_state.sessions, user, login_now(), token);
	login_store_look(authenticate_state.store);
}

const struct auth_user *authenticate_session(const char *token)
{
	const struct auth_user *user =
		login_session_find(authenticate_state.sessions, token, login_now());

	login_store_look(authenticate_state.store);
	return user;
}

void authenticate_end_session(const char *token)
{
	login_session_end(authenticate_state.sessions, token);
	login_store_look(authenticate_state.store);
}

void authenticate_keep_sessions(login_store_folder_fn *folder, void *arg)
{
	authenticate_init();
	authenticate_state.store = login_store_new(authenticate_state.sessions, folder, arg);
	login_store_read(authenticate_state.store);
}

void authenticate_keep_sessions_again(void)
{
	login_store_come(authenticate_state.store);
}

/* --- tokens --- */

static void authenticate_token_digest(
	const struct authenticate_token *token, const char *password, char ret[TOKEN_DIGEST_BYTES])
{
	unsigned char hash[EVP_MAX_MD_SIZE];
	EVP_MD_CTX *sha1 = EVP_MD_CTX_new();
	unsigned n = 0;

	if (!sha1 || EVP_DigestInit_ex(sha1, EVP_sha1(), NULL) != 1 ||
		EVP_DigestUpdate(sha1, token->nonce, token->nonce_bytes) != 1 ||
		EVP_DigestUpdate(sha1, token->created, strlen(token->created)) != 1 ||
		EVP_DigestUpdate(sha1, password, strlen(password)) != 1 ||
		EVP_DigestFinal_ex(sha1, hash, &n) != 1 ||
		base64_write(ret, TOKEN_DIGEST_BYTES, hash, n) < 0)
		abort();
	EVP_MD_CTX_free(sha1);
}

static bool authenticate_token_fits(const struct auth_user *with, const void *given)
{
	const struct authenticate_token *token = given;
	char expected[TOKEN_DIGEST_BYTES];

	authenticate_token_digest(token, with->password, expected);
	return !authenticate_is_hash(with->password) && auth_equal(expected, token->digest);
}

enum authenticate_result authenticate_token(struct authenticate_asker *asker,
	const struct authenticate_token *token, const struct auth_user **user)
{
	struct authenticate_found found = { 0 };
	enum authenticate_result result = AUTHENTICATE_WRONG;
	bool known;

	*user = NULL;
	if (authenticate_is_open())
		return authenticate_openly(asker);
	if (authenticate_is_early(asker, token->name))
		return AUTHENTICATE_LATER;
	if (authenticate_fit(
		    &found, authenticate_find(token->name, &known), authenticate_token_fits, token))
		result = known ? AUTHENTICATED : AUTHENTICATE_WRONG;
	else if (authenticate_is_hash(found.user->password))
		result = AUTHENTICATE_UNFIT;
	result = authenticate_conclude(asker, token->name, result, &found);
	if (result == AUTHENTICATED)
		*user = found.user;
	return result;
}

/* --- the challenge --- */

/* Whether Digest can check the password of anybody. */
static bool authenticate_has_digest(void)
{
	const struct auth_user *user;

	TAILQ_FOREACH (user, authenticate_state.users, entry) {
		if (!scrypt_is_hash(user->password) || !TAILQ_EMPTY(&user->app_passwords))
			return true;
	}
	return false;
}

void authenticate_write_challenge(
	struct evbuffer *out, enum authenticate_result result, bool with_basic)
{
	/* some clients take the first Digest, ffmpeg the last, and both know MD5 only */
	static const char *const algorithms[] = { "MD5", "SHA-256", "MD5" };
	size_t n = ARRAY_LENGTH(algorithms);
	char nonce[NONCE_BYTES];

	if (result == AUTHENTICATE_UNFIT || !authenticate_has_digest())
		n = 0;
	authenticate_nonce_of(nonce, reactor_monotonic_us());
	for (size_t i = 0; i < n; i++)
		(void)evbuffer_add_printf(out,
			"WWW-Authenticate: Digest realm=\"" AUTH_REALM "\", nonce=\"%s\", "
			"algorithm=%s, qop=\"auth\"%s\r\n",
			nonce, algorithms[i], result == AUTHENTICATE_STALE ? ", stale=true" : "");
	if (with_basic || n == 0)
		(void)evbuffer_add_printf(out,
			"WWW-Authenticate: Basic realm=\"" AUTH_REALM "\", charset=\"UTF-8\"\r\n");
}

void authenticate_write_nonce(char *ret, size_t size, int64_t at_us)
{
	char nonce[NONCE_BYTES];

	authenticate_nonce_of(nonce, at_us);
	(void)snprintf(ret, size, "%s", nonce);
}
