/*
 * Who may ask for what: the methods, the match of a path against the table of routes, and the
 * checks that come before a handler (RFC 9110 sections 9 and 15.5).
 */
#include <stdio.h>
#include <string.h>

#include <event2/buffer.h>

#include "protocols/http_host.h"
#include "protocols/http_private.h"
#include "protocols/http_session.h"
#include "server/base/listener.h"

/* clang-format off */
/* Methods that HTTP and WebDAV define; of another one we cannot say whether a path takes it. */
static const struct http_method_row http_methods[] = {
	{ "GET", HTTP_GET, false }, { "HEAD", HTTP_HEAD, false },
	{ "OPTIONS", HTTP_OPTIONS, false }, { "PROPFIND", HTTP_PROPFIND, false },
	{ "PROPPATCH", HTTP_PROPPATCH, false }, { "MKCOL", HTTP_MKCOL, false },
	{ "COPY", HTTP_COPY, false }, { "MOVE", HTTP_MOVE, false },
	{ "LOCK", HTTP_LOCK, false }, { "UNLOCK", HTTP_UNLOCK, false },
	{ "SEARCH", HTTP_SEARCH, false }, { "REPORT", 0, false }, { "POST", HTTP_POST, false },
	{ "PUT", HTTP_PUT, true }, { "DELETE", HTTP_DELETE, false },
	{ "PATCH", HTTP_PATCH, false }, { "TRACE", 0, false }, { "CONNECT", 0, false },
};
/* clang-format on */

/* The segment below these is a camera's name (DESIGN section 5). */
static const char *const http_camera_roots[] = { "/live/", "/recordings/", "/uploads/" };

static struct {
	void (*handle)(void *arg, struct http_request *request);
	void *arg;
} http_tunnel;

const struct http_method_row *http_method_find(struct message_text name)
{
	for (size_t i = 0; i < ARRAY_LENGTH(http_methods); i++) {
		const char *known = http_methods[i].name;
		if (name.n == strlen(known) && memcmp(name.p, known, name.n) == 0)
			return &http_methods[i];
	}
	return NULL;
}

const char *http_method_label(const struct http_request *request)
{
	return request->method ? request->method->name : "other";
}

static bool http_route_matches(const char *prefix, const char *path)
{
	const char *p = prefix;

	while (*p && *path) {
		if (*p == '*') {
			size_t n = strcspn(path, "/");
			if (n == 0)
				return false;
			path += n;
			p++;
		} else if (*p++ != *path++) {
			return false;
		}
	}
	if (*p == '\0')
		return *path == '\0' || (p > prefix && p[-1] == '/');
	return strcmp(p, "/") == 0; /* "/recordings" under "/recordings/" */
}

/* What the table has for a path. */
struct http_match {
	const char *prefix;             /* the longest that matches, or NULL */
	const struct http_route *route; /* its row for the method, or NULL */
	unsigned allowed;               /* the methods of all its rows */
};

static struct http_match http_match_of(const struct http_request *request)
{
	const struct http_route *route = request->client->server->routes;
	unsigned bit = request->method ? request->method->bit : 0;
	struct http_match match = { 0 };

	for (; route->prefix; route++) {
		unsigned methods = route->methods;
		if (!http_route_matches(route->prefix, request->path))
			continue;
		if (!match.prefix || strlen(route->prefix) > strlen(match.prefix))
			match = (struct http_match){ .prefix = route->prefix };
		else if (strcmp(route->prefix, match.prefix) != 0)
			continue;
		if (methods & HTTP_GET)
			methods |= HTTP_HEAD;
		match.allowed |= methods;
		if (!match.route && (methods & bit))
			match.route = route;
	}
	return match;
}

static void http_add_allow(struct http_request *request, unsigned allowed)
{
	char list[160] = "OPTIONS";

	for (size_t i = 0; i < ARRAY_LENGTH(http_methods); i++) {
		unsigned bit = http_methods[i].bit;
		size_t n = strlen(list);
		if (bit != HTTP_OPTIONS && (bit & allowed))
			(void)snprintf(list + n, sizeof(list) - n, ", %s", http_methods[i].name);
	}
	http_add_field(request, "Allow", "%s", list);
}

/* OPTIONS of a route that does not answer it itself. The judge has added the fields. */
static void http_answer_options(struct http_request *request)
{
	http_answer(request, 200, NULL, NULL);
}

static void http_refuse(struct http_request *request, int status, const char *why)
{
	request->handle = NULL;
	request->user = NULL;
	request->refused = status;
	(void)snprintf(request->why, sizeof(request->why), "%s", why);
}

static const char *http_camera_of(const char *path, char *ret, size_t size)
{
	for (size_t i = 0; i < ARRAY_LENGTH(http_camera_roots); i++) {
		size_t n = strlen(http_camera_roots[i]);
		if (strncmp(path, http_camera_roots[i], n) == 0 && path[n]) {
			(void)snprintf(ret, size, "%.*s", (int)strcspn(path + n, "/"), path + n);
			return ret;
		}
	}
	return NULL;
}

/* Without users every web page in the owner's browser could reach us under a name of its own. */
static bool http_check_open_host(struct http_request *request)
{
	const struct http_server *server = request->client->server;

	if (!authenticate_is_open() || !request->host.p ||
		http_host_is_ours(request->host, listener_address(server->listener)))
		return true;
	http_refuse(request, 421,
		"without users this server answers only as localhost; configure users: to reach it "
		"by a name");
	return false;
}

/* A browser asks for no password of a scheme that it does not know. */
static void http_write_challenge(struct http_request *request, enum authenticate_result result)
{
	if (http_session_asks(request))
		http_add_field(request, "WWW-Authenticate", "Session realm=\"" AUTH_REALM "\"");
	else
		authenticate_write_challenge(request->fields, result, true);
}

static bool http_check_user(struct http_request *request)
{
	struct authenticate_asker *asker = &request->client->asker;
	const struct message *m = &request->message;
	char target[HTTP_SIGNED_BYTES];
	enum authenticate_result result =
		authenticate(asker, m->method, http_signed_target(request, target),
			message_find(m, "Authorization"), &request->user);

	switch (result) {
	case AUTHENTICATED:
		return true;
	case AUTHENTICATE_MISSING:
	case AUTHENTICATE_WRONG:
	case AUTHENTICATE_STALE:
	case AUTHENTICATE_UNFIT:
		http_write_challenge(request, result);
		http_refuse(request, 401, "user name and password are needed");
		break;
	case AUTHENTICATE_LATER:
		http_add_field(request, "Retry-After", "%u", asker->retry_after_s);
		http_refuse(
			request, 429, "too many logins, or too many wrong ones: try again later");
		break;
	case AUTHENTICATE_PENDING:
		request->is_pending = true;
		break;
	}
	return false;
}

/* What an application's password is for; what is in none of these is for the user's own. */
static bool http_check_scope(struct http_request *request)
{
	static const struct {
		const char *prefix; /* as of routes; "/" is the root alone */
		unsigned read, change;
	} areas[] = {
		{"/",             SCOPE_DAV_READ, SCOPE_DAV    },
		{ "/recordings/", SCOPE_DAV_READ, SCOPE_DAV    },
		{ "/uploads/",    SCOPE_DAV_READ, SCOPE_DAV    },
		{ "/live/",       SCOPE_LIVE,     SCOPE_LIVE   },
		{ "/metrics",     SCOPE_METRICS,  SCOPE_METRICS},
	};
	bool reads = request->method && (request->method->bit & HTTP_LOOKING);
	unsigned scopes = request->client->asker.scopes, wanted = 0;

	if (scopes == SCOPE_ALL)
		return true;
	for (size_t i = 0; i < ARRAY_LENGTH(areas); i++) {
		bool is_root = strcmp(areas[i].prefix, "/") == 0;

		if (is_root ? strcmp(request->path, "/") == 0
			    : http_route_matches(areas[i].prefix, request->path))
			wanted = reads ? areas[i].read : areas[i].change;
	}
	if (scopes & wanted)
		return true;
	http_refuse(request, 403, "this application password is not for that");
	return false;
}

/* Whose session it is, of which the answer tells. */
static enum http_session http_take_session(struct http_request *request)
{
	enum http_session session = http_session_find(request, &request->user);

	if (session == HTTP_SESSION_OF)
		http_add_field(request, "Session-User", "%s", request->user->name);
	else
		request->user = NULL;
	return session;
}

/* Who shows a password is who it says, whatever else there is. */
static bool http_check_asker(struct http_request *request)
{
	bool has_password = http_field(request, "Authorization").p != NULL;

	switch (has_password ? HTTP_SESSION_NONE : http_take_session(request)) {
	case HTTP_SESSION_OF:
		return true;
	case HTTP_SESSION_FOREIGN:
		http_refuse(request, 403, HTTP_SESSION_FOREIGN_WORDS);
		return false;
	case HTTP_SESSION_NONE:
		break;
	}
	return http_check_user(request) && http_check_scope(request);
}

static bool http_check_camera(struct http_request *request)
{
	const char *only = http_only_camera(request);
	char camera[URI_PATH_BYTES];

	if (!http_camera_of(request->path, camera, sizeof(camera)) ||
		(auth_may_see(request->user, camera) && (!only || !strcmp(only, camera))))
		return true;
	http_refuse(request, 404, "there is nothing of this name");
	return false;
}

static bool http_check_role(struct http_request *request, enum auth_role role)
{
	if (!request->user || request->user->role >= role)
		return true;
	http_refuse(request, 403, "this user's role does not allow it");
	return false;
}

static void http_judge_options(struct http_request *request, const struct http_match *match)
{
	http_add_allow(request, match->allowed);
	if (match->allowed & HTTP_PROPFIND) {
		http_add_field(request, "DAV", "1, 2, 3");
		http_add_field(request, "MS-Author-Via", "DAV");
	}
	if (match->allowed & HTTP_SEARCH)
		http_add_field(request, "DASL", "<DAV:basicsearch>");
	request->handle = match->route ? match->route->handle : http_answer_options;
}

static void http_judge_route(struct http_request *request, const struct http_match *match)
{
	if (!match->prefix) {
		http_refuse(request, 404, "there is nothing of this name");
		return;
	}
	if (!request->method) {
		http_refuse(request, 501, "this method is not known");
		return;
	}
	if (request->method->bit == HTTP_OPTIONS) {
		http_judge_options(request, match);
	} else if (!match->route) {
		http_add_allow(request, match->allowed);
		http_refuse(request, 405, "this resource does not take this method");
	} else if (http_check_role(request, match->route->role)) {
		request->handle = match->route->handle;
	}
}

/*
 * What is shown to whoever comes, or asks who comes in the request's body, where the page's cookie says it, too; but a password in the
 * head is looked at wherever it is shown.
 */
static bool http_let_in(struct http_request *request, const struct http_route *route)
{
	if (!route || http_field(request, "Authorization").p)
		return false;
	if (route->methods & HTTP_ASKS_ITSELF)
		(void)http_take_session(request); /* a foreign one says nothing */
	return route->methods & (HTTP_PUBLIC | HTTP_ASKS_ITSELF);
}

struct authenticate_asker *http_asker(struct http_request *request)
{
	return &request->client->asker;
}

void http_add_challenge(struct http_request *request)
{
	http_write_challenge(request, AUTHENTICATE_MISSING);
}

/* Relative links need the slash. */
static void http_answer_bare(struct http_request *request)
{
	http_add_field(request, "Location", "%s/", request->base);
	http_answer_error(request, 301, "the name ends with a slash");
}

static bool http_wants_slash(const struct http_request *request)
{
	return request->is_bare && request->method &&
	       (request->method->bit == HTTP_GET || request->method->bit == HTTP_HEAD);
}

void http_set_tunnel(void (*handle)(void *arg, struct http_request *request), void *arg)
{
	http_tunnel.handle = handle;
	http_tunnel.arg = arg;
}

bool http_is_tunnel(const struct http_request *request)
{
	const struct message *m = &request->message;

	return http_tunnel.handle && !request->stream && message_find(m, "x-sessioncookie").p &&
	       (message_text_is(m->method, "GET") || message_text_is(m->method, "POST"));
}

static void http_answer_tunnel(struct http_request *request)
{
	http_tunnel.handle(http_tunnel.arg, request);
}

void http_request_judge(struct http_request *request)
{
	struct http_match match = http_match_of(request);

	(void)evbuffer_drain(request->fields, evbuffer_get_length(request->fields));
	request->is_pending = false;
	http_proxy_set_asker(request);
	if (request->is_tunnel)
		request->handle = http_check_open_host(request) ? http_answer_tunnel : NULL;
	else if (http_wants_slash(request))
		request->handle = http_answer_bare;
	else if (http_check_open_host(request) &&
		 (http_let_in(request, match.route) ||
			 (http_check_asker(request) && http_check_camera(request))))
		http_judge_route(request, &match);
}
