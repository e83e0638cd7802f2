/* The grammar of Basic (RFC 7617) and Digest (RFC 7616, RFC 2069) in header fields. */
#include "protocols/digest.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "protocols/base64.h"

/* A value being read. */
struct digest_text {
	const char *at, *end;
};

static void digest_skip(struct digest_text *t, const char *what)
{
	while (t->at < t->end && *t->at && strchr(what, *t->at))
		t->at++;
}

/* Copies n bytes with NUL; false when they do not fit. */
static bool digest_copy(char *ret, size_t size, const char *p, size_t n)
{
	if (n >= size)
		return false;
	memcpy(ret, p, n);
	ret[n] = '\0';
	return true;
}

/* A word up to a space, '=' or ','. */
static bool digest_word(struct digest_text *t, char *ret, size_t size)
{
	const char *start = t->at;

	while (t->at < t->end && !strchr(" \t=,", *t->at))
		t->at++;
	return digest_copy(ret, size, start, (size_t)(t->at - start));
}

/* Whether a quote ends its string: cameras write realm="the "front" door". */
static bool digest_is_closing(const struct digest_text *t)
{
	struct digest_text rest = { t->at + 1, t->end };
	bool blank;

	digest_skip(&rest, " \t");
	if (rest.at == rest.end || *rest.at == ',')
		return true;
	blank = rest.at > t->at + 1;
	while (rest.at < rest.end && *rest.at && !strchr(" \t=,\"", *rest.at))
		rest.at++;
	return blank && rest.at < rest.end && *rest.at == '=';
}

/* A quoted string (with \ escapes), or a bare value up to ',' or space. */
static bool digest_value(struct digest_text *t, char *ret, size_t size)
{
	size_t n = 0;

	if (t->at == t->end || *t->at != '"') {
		const char *start = t->at;

		while (t->at < t->end && !strchr(", \t", *t->at))
			t->at++;
		return digest_copy(ret, size, start, (size_t)(t->at - start));
	}
	for (t->at++; t->at < t->end && !(*t->at == '"' && digest_is_closing(t)); t->at++) {
		if (*t->at == '\\' && t->at + 1 < t->end)
			t->at++;
		if (n + 1 >= size || !*t->at)
			return false;
		ret[n++] = *t->at;
	}
	ret[n] = '\0';
	if (t->at == t->end)
		return false; /* no closing quote */
	t->at++;
	return true;
}

/*
 * The next `name=value` of the list. Returns 1, 0 at the end or where another scheme begins (a word
 * without '='), -EBADMSG when it is broken or too long.
 */
static int digest_next(
	struct digest_text *t, char *name, size_t name_size, char *value, size_t value_size)
{
	struct digest_text before;

	digest_skip(t, ", \t");
	before = *t;
	if (t->at == t->end)
		return 0;
	if (!digest_word(t, name, name_size))
		return -EBADMSG;
	digest_skip(t, " \t");
	if (t->at == t->end || *t->at != '=') {
		*t = before;
		return 0;
	}
	t->at++;
	digest_skip(t, " \t");
	return digest_value(t, value, value_size) ? 1 : -EBADMSG;
}

/* Whether a comma-separated qop list offers "auth". */
static bool digest_offers_auth(const char *list)
{
	while (*list) {
		size_t n;

		list += strspn(list, ", \t");
		n = strcspn(list, ", \t");
		if (n == 4 && !strncasecmp(list, "auth", 4))
			return true;
		list += n;
	}
	return false;
}

/* "MD5", "SHA-256"; -1 for those that we do not speak (SHA-512-256). */
static int digest_algorithm(const char *name)
{
	if (!strcasecmp(name, "MD5"))
		return AUTH_MD5;
	if (!strcasecmp(name, "SHA-256") || !strcasecmp(name, "SHA256"))
		return AUTH_SHA256;
	return -1;
}

/* With "-sess", which only our side of a challenge speaks. */
static bool challenge_take_algorithm(struct digest_challenge *c, const char *name)
{
	size_t n = strlen(name);
	char base[sizeof(c->algorithm_name)];

	if (n >= sizeof(base))
		return false;
	c->session = n > 5 && !strcasecmp(name + n - 5, "-sess");
	snprintf(base, sizeof(base), "%.*s", (int)(c->session ? n - 5 : n), name);
	if (digest_algorithm(base) < 0)
		return false;
	memcpy(c->algorithm_name, name, n + 1);
	c->algorithm = (enum auth_algorithm)digest_algorithm(base);
	return true;
}

/* --- challenges --- */

static void challenge_take(
	struct digest_challenge *c, bool *known, const char *name, const char *value)
{
	if (!strcasecmp(name, "realm"))
		snprintf(c->realm, sizeof(c->realm), "%s", value);
	else if (!strcasecmp(name, "nonce"))
		snprintf(c->nonce, sizeof(c->nonce), "%s", value);
	else if (!strcasecmp(name, "opaque"))
		snprintf(c->opaque, sizeof(c->opaque), "%s", value);
	else if (!strcasecmp(name, "qop"))
		c->qop_auth = digest_offers_auth(value);
	else if (!strcasecmp(name, "stale"))
		c->stale = !strcasecmp(value, "true");
	else if (!strcasecmp(name, "algorithm") && value[0])
		*known = challenge_take_algorithm(c, value);
}

int digest_parse_challenge(
	struct digest_challenge *ret, const char *p, size_t n, size_t *at, const char **why)
{
	struct digest_text t = { p + *at, p + n };
	struct digest_challenge c = { .algorithm = AUTH_MD5 };
	char scheme[32], name[32], value[DIGEST_VALUE_BYTES];
	bool known = true;
	int more;

	digest_skip(&t, ", \t");
	if (t.at == t.end)
		return 0;
	if (!digest_word(&t, scheme, sizeof(scheme)) || !scheme[0]) {
		*why = "the scheme of a challenge is too long or missing";
		return -EBADMSG;
	}
	while ((more = digest_next(&t, name, sizeof(name), value, sizeof(value))) > 0)
		challenge_take(&c, &known, name, value);
	if (more < 0) {
		*why = "a challenge's parameter is broken or too long";
		return -EBADMSG;
	}
	if (!strcasecmp(scheme, "Basic"))
		c.scheme = DIGEST_BASIC;
	else if (!strcasecmp(scheme, "Digest") && known && c.nonce[0])
		c.scheme = DIGEST_DIGEST;
	/* always forward, whatever stood there */
	*at = t.at > p + *at ? (size_t)(t.at - p) : n;
	*ret = c;
	return 1;
}

int digest_strength(const struct digest_challenge *c)
{
	switch (c->scheme) {
	case DIGEST_NONE:
		return 0;
	case DIGEST_BASIC:
		return 1;
	case DIGEST_DIGEST:
		return c->algorithm == AUTH_SHA256 ? 3 : 2;
	}
	return 0;
}

/* --- credentials --- */

static int parse_basic(struct digest_credentials *c, struct digest_text t, const char **why)
{
	uint8_t plain[DIGEST_VALUE_BYTES * 2];
	const uint8_t *colon;
	ssize_t n;

	digest_skip(&t, " \t");
	n = base64_parse(plain, sizeof(plain), t.at, (size_t)(t.end - t.at));
	colon = n > 0 ? memchr(plain, ':', (size_t)n) : NULL;
	*why = "Basic credentials are not user:password in Base64";
	if (!colon || memchr(plain, '\0', (size_t)n))
		return -EBADMSG;
	if (!digest_copy(c->user, sizeof(c->user), (const char *)plain, (size_t)(colon - plain)) ||
		!digest_copy(c->password, sizeof(c->password), (const char *)colon + 1,
			(size_t)(plain + n - colon - 1)))
		return -EBADMSG;
	c->scheme = DIGEST_BASIC;
	return 0;
}

/* Which parameter goes where; false when it does not fit. */
static bool credentials_take(struct digest_credentials *c, const char *name, const char *value)
{
	const struct {
		const char *name;
		char *to;
		size_t size;
	} rows[] = {
		{"username",  c->user,        sizeof(c->user)       },
		{ "realm",    c->realm,       sizeof(c->realm)      },
		{ "nonce",    c->nonce,       sizeof(c->nonce)      },
		{ "uri",      c->uri,         sizeof(c->uri)        },
		{ "response", c->response,    sizeof(c->response)   },
		{ "cnonce",   c->cnonce,      sizeof(c->cnonce)     },
		{ "nc",       c->nonce_count, sizeof(c->nonce_count)},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		if (!strcasecmp(name, rows[i].name))
			return digest_copy(rows[i].to, rows[i].size, value, strlen(value));
	}
	if (!strcasecmp(name, "qop"))
		c->has_qop = true;
	if (!strcasecmp(name, "qop"))
		return !strcasecmp(value, "auth");
	if (!strcasecmp(name, "algorithm") && digest_algorithm(value) < 0)
		return false;
	if (!strcasecmp(name, "algorithm"))
		c->algorithm = (enum auth_algorithm)digest_algorithm(value);
	return true;
}

static int parse_digest(struct digest_credentials *c, struct digest_text t, const char **why)
{
	char name[32], value[sizeof(c->uri)];
	int more;

	while ((more = digest_next(&t, name, sizeof(name), value, sizeof(value))) > 0) {
		if (!credentials_take(c, name, value)) {
			*why = "a Digest parameter is too long or not supported";
			return -EBADMSG;
		}
	}
	*why = "Digest credentials are broken or incomplete";
	if (more < 0 || t.at != t.end || !c->user[0] || !c->nonce[0] || !c->uri[0] ||
		!c->response[0])
		return -EBADMSG;
	if (c->has_qop && (!c->cnonce[0] || !c->nonce_count[0]))
		return -EBADMSG;
	c->scheme = DIGEST_DIGEST;
	return 0;
}

int digest_parse_credentials(
	struct digest_credentials *ret, const char *p, size_t n, const char **why)
{
	struct digest_text t = { p, p + n };
	struct digest_credentials c = { .algorithm = AUTH_MD5 };
	char scheme[32];
	int error = -EBADMSG;

	digest_skip(&t, " \t");
	*why = "the scheme is not Basic or Digest";
	if (!digest_word(&t, scheme, sizeof(scheme)))
		return -EBADMSG;
	if (!strcasecmp(scheme, "Basic"))
		error = parse_basic(&c, t, why);
	else if (!strcasecmp(scheme, "Digest"))
		error = parse_digest(&c, t, why);
	if (!error)
		*ret = c;
	return error;
}

/* --- writing --- */

/* Appends to ret; a result that does not fit is remembered in *fits. */
static void digest_put(char *ret, size_t size, size_t *n, bool *fits, const char *before,
	const char *value, const char *after)
{
	int done = snprintf(ret + *n, size - *n, "%s%s%s", before, value, after);

	if (done < 0 || (size_t)done >= size - *n)
		*fits = false;
	else
		*n += (size_t)done;
}

/* A quoted string with its quotes and backslashes escaped. */
static void digest_put_quoted(
	char *ret, size_t size, size_t *n, bool *fits, const char *before, const char *value)
{
	char quoted[2 * DIGEST_VALUE_BYTES];
	size_t q = 0;

	for (; *value && q + 2 < sizeof(quoted); value++) {
		if (*value == '"' || *value == '\\')
			quoted[q++] = '\\';
		quoted[q++] = *value;
	}
	quoted[q] = '\0';
	if (*value)
		*fits = false;
	digest_put(ret, size, n, fits, before, quoted, "\"");
}

static int write_basic(char *ret, size_t size, const char *user, const char *password)
{
	char plain[2 * DIGEST_VALUE_BYTES];
	int n = snprintf(plain, sizeof(plain), "%s:%s", user, password);
	static const char scheme[] = "Basic ";
	ssize_t written = -1;

	if (n > 0 && (size_t)n < sizeof(plain) && size > sizeof(scheme)) {
		memcpy(ret, scheme, sizeof(scheme));
		written = base64_write(ret + sizeof(scheme) - 1, size - sizeof(scheme) + 1,
			(const uint8_t *)plain, (size_t)n);
	}
	explicit_bzero(plain, sizeof(plain));
	return written < 0 ? -ENAMETOOLONG : 0;
}

int digest_write_credentials(char *ret, size_t size, const struct digest_challenge *challenge,
	const char *user, const char *password, const char *method, const char *uri,
	unsigned nonce_count, const char *cnonce)
{
	char ha1[AUTH_HASH_HEX_BYTES], plain[AUTH_HASH_HEX_BYTES], response[AUTH_HASH_HEX_BYTES],
		count[9];
	size_t n = 0;
	bool fits = true;

	if (challenge->scheme == DIGEST_BASIC)
		return write_basic(ret, size, user, password);
	snprintf(count, sizeof(count), "%08x", nonce_count);
	auth_hash(challenge->algorithm, ha1,
		(const char *const[]){ user, challenge->realm, password, NULL });
	if (challenge->session) { /* RFC 7616 section 3.4.2 */
		memcpy(plain, ha1, sizeof(plain));
		auth_hash(challenge->algorithm, ha1,
			(const char *const[]){ plain, challenge->nonce, cnonce, NULL });
	}
	auth_digest_response(challenge->algorithm, ha1, method, uri, challenge->nonce,
		challenge->qop_auth ? count : NULL, cnonce, response);
	digest_put_quoted(ret, size, &n, &fits, "Digest username=\"", user);
	digest_put_quoted(ret, size, &n, &fits, ", realm=\"", challenge->realm);
	digest_put_quoted(ret, size, &n, &fits, ", nonce=\"", challenge->nonce);
	digest_put(ret, size, &n, &fits, ", uri=\"", uri, "\"");
	digest_put(ret, size, &n, &fits, ", response=\"", response, "\"");
	if (challenge->algorithm_name[0] || challenge->algorithm != AUTH_MD5)
		digest_put(ret, size, &n, &fits, ", algorithm=",
			challenge->algorithm_name[0] ? challenge->algorithm_name : "SHA-256", "");
	if (challenge->opaque[0])
		digest_put_quoted(ret, size, &n, &fits, ", opaque=\"", challenge->opaque);
	if (challenge->qop_auth)
		digest_put(ret, size, &n, &fits, ", qop=auth, nc=", count, "");
	if (challenge->qop_auth || challenge->session) {
		digest_put_quoted(ret, size, &n, &fits, ", cnonce=\"", cnonce);
	}
	return fits ? 0 : -ENAMETOOLONG;
}
