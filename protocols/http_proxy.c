/*
 * What stands in front of the server: reverse proxies, which tell by X-Forwarded-* for whom they ask, and the
 * base path below which they show it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocols/forwarded.h"
#include "protocols/http_host.h"
#include "protocols/http_private.h"
#include "server/base/memory.h"

static struct {
	struct network *trusted;
	size_t n_trusted;
	char base[HTTP_BASE_BYTES]; /* "" for none */
	bool hsts;
} http_front;

void http_configure(const struct http_settings *settings)
{
	size_t n = 0;

	free(http_front.trusted);
	memset(&http_front, 0, sizeof(http_front));
	if (!settings)
		return;
	while (settings->trusted_proxies && settings->trusted_proxies[n])
		n++;
	http_front.trusted = xcalloc(n + 1, sizeof(*http_front.trusted));
	for (size_t i = 0; i < n; i++) {
		if (network_parse(&http_front.trusted[http_front.n_trusted],
			    settings->trusted_proxies[i]))
			http_front.n_trusted++;
	}
	(void)snprintf(http_front.base, sizeof(http_front.base), "%s",
		settings->base_path ? settings->base_path : "");
	http_front.hsts = settings->hsts;
}

bool http_trusts(const struct sockaddr *peer)
{
	struct network_address address;

	return network_address_of(&address, peer) &&
	       forwarded_is_trusted(&address, http_front.trusted, http_front.n_trusted);
}

bool http_is_secure(const struct http_request *request)
{
	return request->is_secure;
}

bool http_wants_hsts(const struct http_request *request)
{
	return http_front.hsts && request->is_secure;
}

/* --- the base path --- */

bool http_below_base(char *path)
{
	size_t n = strlen(http_front.base);

	if (n == 0 || strncmp(path, http_front.base, n) != 0 || (path[n] && path[n] != '/'))
		return false;
	if (path[n])
		memmove(path, path + n, strlen(path + n) + 1);
	else
		memcpy(path, "/", 2);
	return true;
}

const char *http_base(const struct http_request *request)
{
	return request->base;
}

/* Takes it off, whether the proxy has left it there or not. */
static void http_take_base(struct http_request *request, bool is_proxied)
{
	size_t n = strlen(request->path);

	request->had_base = http_below_base(request->path);
	request->is_bare = request->had_base && n == strlen(http_front.base);
	if (request->had_base || is_proxied)
		memcpy(request->base, http_front.base, sizeof(request->base));
}

struct message_text http_signed_target(
	const struct http_request *request, char ret[HTTP_SIGNED_BYTES])
{
	struct message_text target = request->message.target;

	if (!request->base[0] || request->had_base || !target.n || target.p[0] != '/')
		return target;
	int n = snprintf(ret, HTTP_SIGNED_BYTES, "%s%.*s", request->base, (int)target.n, target.p);
	return (struct message_text){ ret, (size_t)n };
}

/* --- X-Forwarded-* --- */

/* The last field of that name, or the one before `end`; NULL: there is none. */
static const struct message_field *http_field_before(
	const struct http_request *request, const char *name, const struct message_field *end)
{
	const struct message_field *found = NULL, *next = NULL;

	while ((next = message_find_next(&request->message, name, next)) != end && next)
		found = next;
	return found;
}

const struct sockaddr *http_asker_address(
	const struct http_request *request, struct sockaddr_in6 *room)
{
	if (!request->is_proxied)
		return connection_peer_address(request->client->socket);
	*room = (struct sockaddr_in6){ .sin6_family = AF_INET6 };
	memcpy(&room->sin6_addr, request->asker.bytes, sizeof(request->asker.bytes));
	return (const struct sockaddr *)room;
}

void http_proxy_set_asker(const struct http_request *request)
{
	struct http_connection *c = request->client;
	struct sockaddr_in6 room;

	if (!request->is_proxied)
		return;
	(void)http_asker_address(request, &room);
	if (memcmp(&room, &c->asker_address, sizeof(room)) == 0)
		return;
	c->asker_address = room;
	authenticate_asker_move(&c->asker, (const struct sockaddr *)&c->asker_address);
}

static void http_take_client(struct http_request *request, struct network_address proxy)
{
	static const char name[] = "X-Forwarded-For";
	const struct message_field *field = http_field_before(request, name, NULL);
	struct network_address at = proxy;

	while (field &&
		forwarded_follow(&at, field->value, http_front.trusted, http_front.n_trusted))
		field = http_field_before(request, name, field);
	request->asker = at;
	if (memcmp(&at, &proxy, sizeof(at)) == 0)
		return;
	request->log = (struct log_name){ .parent = &request->client->log,
		.kind = "for",
		.name = network_address_write(&at, request->address) };
}

static bool http_proxy_says_https(const struct http_request *request)
{
	const struct message_field *field = http_field_before(request, "X-Forwarded-Proto", NULL);
	struct message_text list = field ? field->value : (struct message_text){ NULL, 0 };
	struct message_text last = { NULL, 0 };

	while (list.n)
		last = message_text_cut(&list, ',');
	return message_text_is(last, "https");
}

void http_proxy_read(struct http_request *request)
{
	const struct connection *socket = request->client->socket;
	struct network_address proxy;

	request->is_proxied = http_trusts(connection_peer_address(socket)) &&
			      network_address_of(&proxy, connection_peer_address(socket));
	http_take_base(request, request->is_proxied);
	request->is_secure = connection_is_tls(socket);
	if (!request->is_proxied)
		return;
	http_take_client(request, proxy);
	request->is_secure |= http_proxy_says_https(request);
}

bool http_is_us(const struct http_request *request, struct message_text authority)
{
	const struct message_field *field = NULL;

	if (http_host_equal(authority, message_find(&request->message, "Host")))
		return true;
	if (!request->is_proxied)
		return false;
	while ((field = message_find_next(&request->message, "X-Forwarded-Host", field))) {
		struct message_text list = field->value;

		while (list.n) {
			if (http_host_equal(authority, message_text_cut(&list, ',')))
				return true;
		}
	}
	return false;
}
