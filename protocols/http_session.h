#pragma once

#include <stdbool.h>

#include "server/base/auth.h"

struct http_request;

/*
 * Sessions of the page: POST /login with a user's own password, in an Authorization field, is answered by a cookie
 * (RFC 6265bis) that stands for the password in later requests (server/base/login_session.h). No page elsewhere can use it:
 * browsers do not send it along (SameSite=Strict), and a request that changes something, logs in or out is refused when the
 * browser says, by Sec-Fetch-Site or Origin, that another server's page makes it.
 */
enum http_session {
	HTTP_SESSION_NONE,   /* there is no cookie, or it is good no more */
	HTTP_SESSION_OF,     /* *user */
	HTTP_SESSION_FOREIGN /* but another server's page makes the request */
};
#define HTTP_SESSION_FOREIGN_WORDS "a page of another server cannot do that"

/* Whose session the request's cookie is. He lives until the next reload. */
enum http_session http_session_find(
	const struct http_request *request, const struct auth_user **user);

/*
 * Whether the page asks for a password by itself, so that the browser is not to: its scripts say that they are
 * scripts, and what else it shows comes with a cookie, though perhaps one that is good no more.
 */
bool http_session_asks(const struct http_request *request);

/* Handlers: POST begins a session of the user who asks, and ends the one that the cookie was of; DELETE ends it. */
void http_log_in(struct http_request *request);
void http_log_out(struct http_request *request);
