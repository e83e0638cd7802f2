/* The cookie of the page's sessions, and which requests may use it. */
#include "protocols/http_session.h"

#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>

#include "protocols/authenticate.h"
#include "protocols/http_cookie.h"
#include "protocols/http_host.h"
#include "protocols/http_private.h"

enum {
	COOKIES = 4, /* of that name, that are looked at: others of this host may have set some */
	NAME_BYTES = 32
};

/*
 * With a prefix a browser takes it only as it has to be (RFC 6265bis section 4.1.3). What is not by TLS has another name,
 * since it cannot replace a cookie that is: who had logged in by TLS could not log in without. And cookies know no ports,
 * so that the name has the one that the browser asks for: another nvrd of the same host has a cookie of its own.
 */
static const char *cookie_name(const struct http_request *request, char ret[NAME_BYTES])
{
	struct message_text port = http_host_port(message_find(&request->message, "Host"));
	const char *prefix = *http_base(request) ? "__Secure-" : "__Host-";

	(void)snprintf(ret, NAME_BYTES, "%snvrd-session%s%.*s", request->is_secure ? prefix : "",
		port.n ? "-" : "", (int)port.n, port.n ? port.p : "");
	return ret;
}

static struct http_cookies cookies_of(const struct http_request *request, char name[NAME_BYTES])
{
	return (struct http_cookies){ .message = &request->message,
		.name = cookie_name(request, name) };
}

static void cookie_set(struct http_request *request, const char *token, int64_t life_us)
{
	char name[NAME_BYTES];

	http_add_field(request, "Set-Cookie",
		"%s=%s; Path=%s/; Max-Age=%lld; HttpOnly; SameSite=Strict%s",
		cookie_name(request, name), token, http_base(request),
		(long long)(life_us / 1000000), request->is_secure ? "; Secure" : "");
}

/*
 * Whether a browser makes the request for a page that is not of this server. What it says itself counts; one that is
 * older, or not by TLS, says where the page is from, at least with whatever is more than GET.
 */
static bool is_foreign(const struct http_request *request)
{
	struct message_text site = http_field(request, "Sec-Fetch-Site");
	struct message_text origin = http_field(request, "Origin");
	const char *scheme = request->is_secure ? "https://" : "http://";
	size_t n = strlen(scheme);

	if (site.p)
		return !message_text_is(site, "same-origin");
	return origin.p &&
	       !(message_text_starts(origin, scheme) &&
		       http_is_us(request, (struct message_text){ origin.p + n, origin.n - n }));
}

/* The user whose session one of the cookies is, and its token; or NULL. */
static const struct auth_user *session_of(
	const struct http_request *request, char token[LOGIN_TOKEN_BYTES])
{
	char name[NAME_BYTES];
	struct http_cookies cookies = cookies_of(request, name);
	const struct auth_user *user = NULL;
	struct message_text value;

	for (int n = 0; !user && n < COOKIES && http_cookies_next(&cookies, &value); n++) {
		if (value.n != LOGIN_TOKEN_BYTES - 1)
			continue;
		message_text_copy(token, LOGIN_TOKEN_BYTES, value);
		user = authenticate_session(token);
	}
	return user;
}

enum http_session http_session_find(
	const struct http_request *request, const struct auth_user **user)
{
	bool reads = request->method && (request->method->bit & HTTP_LOOKING);
	char token[LOGIN_TOKEN_BYTES];

	*user = session_of(request, token);
	if (!*user)
		return HTTP_SESSION_NONE;
	return reads || !is_foreign(request) ? HTTP_SESSION_OF : HTTP_SESSION_FOREIGN;
}

bool http_session_asks(const struct http_request *request)
{
	char name[NAME_BYTES];
	struct http_cookies cookies = cookies_of(request, name);
	struct message_text value;

	if (http_field(request, "X-Requested-With").p)
		return true;
	/* but who opens something else than the page has no other way */
	return http_cookies_next(&cookies, &value) &&
	       !message_text_has_token(http_field(request, "Accept"), "text/html");
}

/* What both handlers begin with: ends the session of the cookie. False: it was answered. */
static bool end_session(struct http_request *request)
{
	const struct auth_user *user;
	char token[LOGIN_TOKEN_BYTES];

	if (is_foreign(request)) {
		http_answer_error(request, 403, HTTP_SESSION_FOREIGN_WORDS);
		return false;
	}
	user = session_of(request, token);
	if (user) {
		http_audit(request, user, "logout", "logged out");
		authenticate_end_session(token);
	}
	http_add_field(request, "Cache-Control", "no-store");
	return true;
}

void http_log_in(struct http_request *request)
{
	const struct auth_user *user = http_user(request);
	char token[LOGIN_TOKEN_BYTES];

	if (!user || !http_field(request, "Authorization").p) {
		http_answer(request, 204, NULL, NULL); /* nobody has to, or it has been done */
		return;
	}
	if (!end_session(request))
		return;
	authenticate_begin_session(user, token);
	cookie_set(request, token, LOGIN_SESSION_LIFE_US);
	OPENSSL_cleanse(token, sizeof(token));
	http_answer(request, 204, NULL, NULL);
}

void http_log_out(struct http_request *request)
{
	if (!end_session(request))
		return;
	cookie_set(request, "", 0);
	http_answer(request, 204, NULL, NULL);
}
