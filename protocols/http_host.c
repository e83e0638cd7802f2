/*
 * The parts of a request that say where it goes: the Host field, the target and its query (RFC 9110
 * section 7, RFC 9112 section 3.2). Pure functions of text.
 */
#include "protocols/http_host.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

static bool http_is_port(const char *p, const char *end)
{
	if (end - p > 5)
		return false;
	for (; p < end; p++) {
		if (*p < '0' || *p > '9')
			return false;
	}
	return true;
}

static bool http_is_host_byte(char c, bool in_brackets)
{
	if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
		return true;
	return c != '\0' && strchr(in_brackets ? ":.%" : "-._~%!$&'()*+,;=", c) != NULL;
}

bool http_host_parse(struct message_text value, struct message_text *host)
{
	bool in_brackets = value.n && value.p[0] == '[';
	const char *start = value.p + (in_brackets ? 1 : 0);
	const char *at = start, *end = value.p + value.n;

	if (!value.p)
		return false;
	while (at < end && http_is_host_byte(*at, in_brackets))
		at++;
	struct message_text found = { start, (size_t)(at - start) };
	if (in_brackets && (at == end || *at++ != ']'))
		return false;
	if (at < end && (*at != ':' || !http_is_port(at + 1, end)))
		return false;
	if (found.n == 0)
		return false;
	*host = found;
	return true;
}

static struct message_text http_without_port(struct message_text value)
{
	static const char *const ports[] = { ":80", ":443" };

	for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++) {
		size_t n = strlen(ports[i]);

		if (value.n > n && memcmp(value.p + value.n - n, ports[i], n) == 0)
			value.n -= n;
	}
	return value;
}

struct message_text http_host_port(struct message_text value)
{
	struct message_text host, none = { NULL, 0 };
	const char *colon, *end;

	if (!http_host_parse(value, &host))
		return none;
	value = http_without_port(value);
	end = value.p + value.n;
	colon = memchr(host.p + host.n, ':', (size_t)(end - host.p - host.n));
	if (!colon || colon + 1 == end)
		return none;
	return (struct message_text){ colon + 1, (size_t)(end - colon - 1) };
}

bool http_host_equal(struct message_text a, struct message_text b)
{
	a = http_without_port(a);
	b = http_without_port(b);
	return a.n > 0 && a.n == b.n && strncasecmp(a.p, b.p, a.n) == 0;
}

static bool http_host_is_loopback(const char *host)
{
	struct in_addr four;
	struct in6_addr six;

	if (inet_pton(AF_INET, host, &four) == 1)
		return ntohl(four.s_addr) >> 24 == 127;
	return inet_pton(AF_INET6, host, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

bool http_host_is_ours(struct message_text host, const char *listening)
{
	struct message_text own;
	char text[64];

	if (host.n >= sizeof(text))
		return false;
	message_text_copy(text, sizeof(text), host);
	if (message_text_is(host, "localhost") || http_host_is_loopback(text))
		return true;
	return http_host_parse((struct message_text){ listening, strlen(listening) }, &own) &&
	       own.n == host.n && message_text_is(own, text);
}

/* Cuts at the first '?'; a fragment has no place in a target. */
static bool http_target_split(struct http_target *ret, const char *p, const char *end)
{
	const char *query = memchr(p, '?', (size_t)(end - p));

	if (memchr(p, '#', (size_t)(end - p)))
		return false;
	ret->path = (struct message_text){ p, (size_t)((query ? query : end) - p) };
	ret->query = (struct message_text){ NULL, 0 };
	if (query)
		ret->query = (struct message_text){ query + 1, (size_t)(end - query - 1) };
	return true;
}

static bool http_target_parse_absolute(struct http_target *ret, struct message_text target)
{
	const char *end = target.p + target.n;
	const char *authority, *at;

	if (message_text_starts(target, "http://"))
		authority = target.p + strlen("http://");
	else if (message_text_starts(target, "https://"))
		authority = target.p + strlen("https://");
	else
		return false;
	for (at = authority; at < end && *at != '/' && *at != '?' && *at != '#'; at++)
		;
	ret->authority = (struct message_text){ authority, (size_t)(at - authority) };
	if (!http_target_split(ret, at, end))
		return false;
	if (ret->path.n == 0)
		ret->path = (struct message_text){ "/", 1 };
	return true;
}

bool http_target_parse(struct http_target *ret, struct message_text target)
{
	struct http_target found = {
		.authority = {NULL, 0}
	};
	bool ok;

	if (target.n == 0)
		return false;
	if (target.n == 1 && target.p[0] == '*') {
		found.path = target;
		ok = true;
	} else if (target.p[0] == '/') {
		ok = http_target_split(&found, target.p, target.p + target.n);
	} else {
		ok = http_target_parse_absolute(&found, target);
	}
	if (ok)
		*ret = found;
	return ok;
}

static int http_query_hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes '+' and percent escapes into ret. */
static bool http_query_decode(char *ret, size_t size, const char *p, const char *end)
{
	size_t n = 0;

	while (p < end) {
		char c = *p++;
		if (c == '+') {
			c = ' ';
		} else if (c == '%') {
			int high = end - p >= 2 ? http_query_hex(p[0]) : -1;
			int low = end - p >= 2 ? http_query_hex(p[1]) : -1;
			if (high < 0 || low < 0)
				return false;
			c = (char)(high << 4 | low);
			p += 2;
		}
		if (c == '\0' || n + 1 >= size)
			return false;
		ret[n++] = c;
	}
	if (size == 0)
		return false;
	ret[n] = '\0';
	return true;
}

bool http_query_find(struct message_text query, const char *name, char *ret, size_t size)
{
	const char *at = query.p, *end = query.p ? query.p + query.n : NULL;
	size_t name_bytes = strlen(name);

	while (at && at < end) {
		const char *next = memchr(at, '&', (size_t)(end - at));
		const char *stop = next ? next : end;
		const char *equals = memchr(at, '=', (size_t)(stop - at));
		const char *name_end = equals ? equals : stop;
		if ((size_t)(name_end - at) == name_bytes && memcmp(at, name, name_bytes) == 0)
			return http_query_decode(ret, size, equals ? equals + 1 : stop, stop);
		at = next ? next + 1 : NULL;
	}
	return false;
}
