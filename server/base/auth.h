#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "server/base/attributes.h"

/*
 * Users and roles, and the hashes behind Basic and Digest (RFC 7616). The grammar of the headers
 * is protocols/digest; the conversation is protocols/authenticate.
 */

enum auth_role {
	ROLE_VIEWER,
	ROLE_OPERATOR,
	ROLE_ADMIN
}; /* each includes those before it */

enum auth_algorithm {
	AUTH_MD5,
	AUTH_SHA256
};
enum {
	AUTH_HASH_HEX_BYTES = 65
}; /* the longest hash in hex, and NUL */

#define AUTH_REALM "nvrd"

/* What an application's password is for. */
enum auth_scope {
	SCOPE_DAV_READ = 1 << 0, /* recordings and uploads over HTTP and WebDAV */
	SCOPE_DAV = 1 << 1,      /* the same, and to change them */
	SCOPE_FTP_READ = 1 << 2,
	SCOPE_FTP = 1 << 3,
	SCOPE_LIVE = 1 << 4, /* live pictures over HTTP */
	SCOPE_RTSP = 1 << 5, /* to play */
	SCOPE_METRICS = 1 << 6,
	SCOPE_RTSP_PUBLISH = 1 << 7,
	SCOPE_RTSP_TALK = 1 << 8, /* to cameras that one plays */
	SCOPE_ALL = (1 << 9) - 1,
};

/*
 * A further password of a user, for one program: good for part of what the user may do, perhaps until a day,
 * never for more.
 */
struct auth_app_password {
	TAILQ_ENTRY(auth_app_password) entry;
	char *name;         /* of the program, for people */
	char *password;     /* as a user's, but not by scrypt; secret */
	char **scope;       /* as written, NULL-ended */
	unsigned scopes;    /* of enum auth_scope */
	int64_t expires_us; /* UTC; 0: never */
	int64_t written_us; /* UTC: when this was surely over already; 0: unknown */
	int line;           /* where it stands in the file */
};
TAILQ_HEAD(auth_app_passwords, auth_app_password);

enum {
	AUTH_APP_PASSWORDS = 16 /* at most so many of a user */
};

struct auth_user {
	TAILQ_ENTRY(auth_user) entry;
	char *name;
	char *password; /* as written: plain, $nvrd$1$<MD5 HA1>$<SHA-256 HA1>, or scrypt.h's; secret */
	enum auth_role role;
	char **cameras; /* NULL: all; else a NULL-ended list of names */
	struct auth_app_passwords app_passwords;
	int line; /* where it stands in the file */
};
TAILQ_HEAD(auth_users, auth_user);

struct auth_user *auth_user_new(const char *name);
void auth_user_free(struct auth_user *user);
/* A copy for whoever outlives the configuration; NULL of NULL. It has no password: it cannot log in. */
struct auth_user *auth_user_copy(const struct auth_user *user);

/* The same, but he may see this camera alone, if he may see it at all; of NULL, somebody without a name. */
struct auth_user *auth_user_copy_for(const struct auth_user *user, const char *camera);

/* Appended to the user's, for the caller to fill; freed with the user. */
struct auth_app_password *auth_app_password_new(struct auth_user *user);
/*
 * Whether it has not expired, by UTC. With a clock that is known to be wrong, since it is behind the time
 * when the password was written down, a password that expires is not good.
 */
bool auth_app_password_is_valid(const struct auth_app_password *app, int64_t now_us);
/* The scopes of a word such as "dav:read", of enum auth_scope; 0: there is no such word. */
unsigned auth_scope_find(const char *word);

/* NULL when there is none of that name. */
const struct auth_user *auth_find(const struct auth_users *users, const char *name, size_t n);

/*
 * Whether the plain password is this user's; compares in constant time. user may be NULL: then
 * false, after the same work. False for one that is kept by scrypt, which takes its time: scrypt_matches().
 */
bool auth_check_password(const struct auth_user *user, const char *password, size_t n) MUST_CHECK;

/*
 * Whether OpenSSL offers the algorithm (MD5 is missing in FIPS mode); a challenge leaves out what
 * is missing. The hashes of a missing one are random, so that nothing ever matches them.
 */
bool auth_has_algorithm(enum auth_algorithm algorithm);

/* H(name:realm:password) in lower-case hex, for realm AUTH_REALM. Random where scrypt has the password. */
void auth_user_ha1(
	const struct auth_user *user, enum auth_algorithm algorithm, char ret[AUTH_HASH_HEX_BYTES]);

/* H of the parts joined by ':' in lower-case hex; parts end with a NULL. */
void auth_hash(
	enum auth_algorithm algorithm, char ret[AUTH_HASH_HEX_BYTES], const char *const parts[]);

/*
 * The Digest response (RFC 7616 section 3.4.1): with qop "auth" when `nonce_count` is not NULL, else
 * the form of RFC 2069.
 */
void auth_digest_response(enum auth_algorithm algorithm, const char *ha1, const char *method,
	const char *uri, const char *nonce, const char *nonce_count, const char *cnonce,
	char ret[AUTH_HASH_HEX_BYTES]);

/* Equal strings, in time that depends on the lengths only. */
bool auth_equal(const char *a, const char *b);

/* Whether the user may see this camera; a NULL user (no users configured) may see all. */
bool auth_may_see(const struct auth_user *user, const char *camera);

/* Whether the user may see and change the configuration: an admin who may see all cameras; also NULL. */
bool auth_may_configure(const struct auth_user *user);

/* Whether the user may publish into the cameras that he may see, and talk there: an operator; also NULL. */
bool auth_may_operate(const struct auth_user *user);

/* n random bytes as 2n hex digits and NUL. */
void auth_random_hex(char *ret, size_t n);

/* Whether `password` is a hash made by auth_hash_password(), and not a plain password. */
bool auth_is_hash(const char *password);

/* What goes into `password:` instead of a plain one. The caller frees it. */
char *auth_hash_password(const char *name, const char *password);
