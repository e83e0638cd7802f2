/* URIs of rtsp and http (RFC 3986), with what cameras make of them. */
#include "protocols/uri.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int uri_hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool uri_copy(char *ret, size_t size, const char *p, size_t n)
{
	if (n >= size)
		return false;
	memcpy(ret, p, n);
	ret[n] = '\0';
	return true;
}

/* Decodes %XX where it is one; people write '%' in passwords without escaping it. */
static bool uri_decode_loosely(char *ret, size_t size, const char *p, size_t n)
{
	size_t used = 0;

	for (size_t i = 0; i < n; i++) {
		bool escape = p[i] == '%' && i + 2 < n && uri_hex(p[i + 1]) >= 0 &&
			      uri_hex(p[i + 2]) >= 0;
		char c = escape ? (char)(uri_hex(p[i + 1]) << 4 | uri_hex(p[i + 2])) : p[i];

		if (used + 1 >= size || !c)
			return false;
		ret[used++] = c;
		i += escape ? 2 : 0;
	}
	ret[used] = '\0';
	return true;
}

static bool uri_is_scheme(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		bool letter = (p[i] >= 'a' && p[i] <= 'z') || (p[i] >= 'A' && p[i] <= 'Z');

		if (!letter && (i == 0 || !((p[i] >= '0' && p[i] <= '9') || strchr("+-.", p[i]))))
			return false;
	}
	return n > 0;
}

/* user:password@ */
static bool uri_parse_user(struct uri *uri, const char *p, size_t n)
{
	const char *colon = memchr(p, ':', n);
	size_t user_bytes = colon ? (size_t)(colon - p) : n;

	uri->has_user = true;
	return uri_decode_loosely(uri->user, sizeof(uri->user), p, user_bytes) &&
	       (!colon || uri_decode_loosely(uri->password, sizeof(uri->password), colon + 1,
				  n - user_bytes - 1));
}

static bool uri_parse_port(struct uri *uri, const char *p, size_t n)
{
	unsigned long port = 0;

	for (size_t i = 0; i < n; i++) {
		if (p[i] < '0' || p[i] > '9')
			return false;
		port = port * 10 + (unsigned long)(p[i] - '0');
		if (port > UINT16_MAX)
			return false;
	}
	uri->port = (uint16_t)port;
	return true;
}

/* host, host:port, [v6]:port, and v6 without brackets as some cameras write it. */
static bool uri_parse_host(struct uri *uri, const char *p, size_t n)
{
	const char *close = n && p[0] == '[' ? memchr(p, ']', n) : NULL;
	const char *colon = memchr(p, ':', n);
	size_t rest;

	if (n && p[0] == '[') {
		if (!close ||
			!uri_copy(uri->host, sizeof(uri->host), p + 1, (size_t)(close - p) - 1))
			return false;
		rest = n - (size_t)(close - p) - 1;
		return rest == 0 || (close[1] == ':' && uri_parse_port(uri, close + 2, rest - 1));
	}
	if (colon && memchr(colon + 1, ':', n - (size_t)(colon - p) - 1))
		colon = NULL;
	if (!uri_copy(uri->host, sizeof(uri->host), p, colon ? (size_t)(colon - p) : n))
		return false;
	return !colon || uri_parse_port(uri, colon + 1, n - (size_t)(colon - p) - 1);
}

static bool uri_parse_authority(struct uri *uri, const char *p, size_t n)
{
	const char *at = memrchr(p, '@', n); /* the last one: passwords hold others */

	if (at && !uri_parse_user(uri, p, (size_t)(at - p)))
		return false;
	if (at) {
		n -= (size_t)(at - p) + 1;
		p = at + 1;
	}
	for (size_t i = 0; i < n; i++) {
		if ((unsigned char)p[i] <= ' ' || p[i] == 0x7f)
			return false;
	}
	return uri_parse_host(uri, p, n);
}

static bool uri_parse_path(struct uri *uri, const char *p, size_t n)
{
	const char *fragment = memchr(p, '#', n);
	bool slash = n && p[0] == '/';

	if (fragment)
		n = (size_t)(fragment - p);
	for (size_t i = 0; i < n; i++) {
		if ((unsigned char)p[i] <= ' ' || p[i] == 0x7f)
			return false;
	}
	uri->path[0] = '/';
	return uri_copy(uri->path + (slash ? 0 : 1), sizeof(uri->path) - 1, p, n);
}

/* Where the authority ends: a '/' or '?' in a password before its '@' is no path. */
static size_t uri_authority_bytes(const char *p, size_t n)
{
	size_t end = 0;
	const char *at, *colon;

	while (end < n && !strchr("/?#", p[end]))
		end++;
	if (memchr(p, '@', end) || end == n)
		return end;
	/* "rtsp://user:pa/ss@host/": what looks like a port is none, and an '@' comes later */
	at = memchr(p + end, '@', n - end);
	colon = memchr(p, ':', end);
	if (!at || !colon || memchr(p + end, '?', (size_t)(at - p) - end) ||
		strspn(colon + 1, "0123456789") >= (size_t)(p + end - colon) - 1)
		return end;
	for (end = (size_t)(at - p); end < n && !strchr("/?#", p[end]); end++)
		;
	return end;
}

int uri_parse(struct uri *ret, const char *p, size_t n, const char **why)
{
	const char *colon = memmem(p, n, "://", 3);
	struct uri uri = { .path = "/" };
	size_t authority;

	*why = "the URL holds a NUL";
	if (memchr(p, '\0', n))
		return -EBADMSG;
	if (!colon || !uri_is_scheme(p, (size_t)(colon - p))) {
		*why = "the URL has no scheme";
		if (!n || p[0] != '/')
			return -EBADMSG;
		authority = 0;
	} else {
		*why = "the URL's scheme is too long";
		if (!uri_copy(uri.scheme, sizeof(uri.scheme), p, (size_t)(colon - p)))
			return -EBADMSG;
		for (char *c = uri.scheme; *c; c++)
			*c = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
		n -= (size_t)(colon + 3 - p);
		p = colon + 3;
		authority = uri_authority_bytes(p, n);
		*why = "the URL's host, port or credentials make no sense";
		if (!uri_parse_authority(&uri, p, authority))
			return -EBADMSG;
	}
	*why = "the URL's path is too long or holds spaces";
	if (!uri_parse_path(&uri, p + authority, n - authority))
		return -EBADMSG;
	*ret = uri;
	return 0;
}

char *uri_write(char *ret, size_t size, const struct uri *uri)
{
	bool v6 = strchr(uri->host, ':') != NULL;
	char port[8] = "";

	if (uri->port)
		snprintf(port, sizeof(port), ":%u", uri->port);
	if (uri->scheme[0])
		snprintf(ret, size, v6 ? "%s://[%s]%s%s" : "%s://%s%s%s", uri->scheme, uri->host,
			port, uri->path);
	else
		snprintf(ret, size, "%s", uri->path);
	return ret;
}

/* Whether the n bytes in front of a path are a host although no scheme says so: "192.0.2.1:554". */
static bool uri_is_bare_host(const char *p, size_t n, const char *host)
{
	size_t colons = 0, dots = 0, host_bytes = strlen(host), end = n;

	if (n == 0)
		return false;
	if (p[0] == '[')
		return memchr(p, ']', n) != NULL;
	for (size_t i = 0; i < n; i++) {
		colons += p[i] == ':';
		dots += p[i] == '.';
	}
	while (end > 0 && p[end - 1] >= '0' && p[end - 1] <= '9')
		end--;
	end = end > 0 && p[end - 1] == ':' ? end - 1 : n;
	if (end == host_bytes && host_bytes > 0 && !strncasecmp(p, host, end))
		return true;
	if (colons > 1)
		return strspn(p, "0123456789abcdefABCDEF:.") >= n;
	return dots == 3 && strspn(p, "0123456789.") >= end;
}

/* Behind scheme and host of what may be a whole URL, even "rtsp://rtsp://host/x" or "192.0.2.1:1935/x". */
static const char *uri_path_of(const char *text, const char *host)
{
	const char *at = text, *colon;
	size_t n;

	while ((colon = strstr(at, "://")) && uri_is_scheme(at, (size_t)(colon - at)))
		at = colon + 3;
	n = uri_authority_bytes(at, strlen(at));
	return at > text || uri_is_bare_host(at, n, host) ? at + n : text;
}

/* Appends to the path; what cannot stand in a request line is escaped. False when it does not fit. */
static bool uri_put(struct uri *uri, const char *text, size_t n)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t used = strlen(uri->path);

	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)text[i];
		bool escape = c <= ' ' || c == 0x7f;

		if (used + (escape ? 3 : 1) >= sizeof(uri->path))
			return false;
		if (escape) {
			uri->path[used++] = '%';
			uri->path[used++] = hex[c >> 4];
			c = (unsigned char)hex[c & 15];
		}
		uri->path[used++] = (char)c;
	}
	uri->path[used] = '\0';
	return true;
}

/* How much of the request's path stands before a relative base: nothing when the base repeats it. */
static size_t uri_base_parent(const char *path, const char *base)
{
	const char *own = path + (path[0] == '/');
	size_t own_bytes = strcspn(own, "?"), base_bytes = strcspn(base, "?"), n;

	while (own_bytes > 0 && own[own_bytes - 1] == '/')
		own_bytes--;
	while (base_bytes > 0 && base[base_bytes - 1] == '/')
		base_bytes--;
	n = own_bytes < base_bytes ? own_bytes : base_bytes;
	if (n > 0 && !strncmp(own, base, n) && (n == own_bytes || own[n] == '/') &&
		(n == base_bytes || base[n] == '/'))
		return 1;
	n = strcspn(path, "?");
	while (n > 1 && path[n - 1] != '/')
		n--;
	return n;
}

static bool uri_put_base(struct uri *uri, const struct uri *connected, const char *base)
{
	const char *path = uri_path_of(base, connected->host);
	size_t n = strcspn(path, "#");

	if (!base[0])
		return uri_put(uri, connected->path, strlen(connected->path));
	if (path[0] == '/')
		return uri_put(uri, path, n);
	if (path > base)
		return uri_put(uri, "/", 1) && uri_put(uri, path, n);
	return uri_put(uri, connected->path, uri_base_parent(connected->path, path)) &&
	       uri_put(uri, path, n);
}

static bool uri_put_control(struct uri *uri, const char *control)
{
	size_t base_bytes = strcspn(uri->path, "?");
	bool slash = uri->path[0] && uri->path[strlen(uri->path) - 1] == '/';

	while (base_bytes > 0 && uri->path[base_bytes - 1] == '/')
		base_bytes--;
	if (base_bytes > 0 && !strncmp(control, uri->path, base_bytes) &&
		control[base_bytes] == '/')
		uri->path[0] = '\0'; /* it repeats the base */
	else if (slash && control[0] == '/')
		control++;
	else if (!slash && control[0] != '/' && !uri_put(uri, "/", 1))
		return false;
	return uri_put(uri, control, strlen(control));
}

int uri_join_control(
	struct uri *ret, const struct uri *connected, const char *base, const char *control)
{
	struct uri uri = *connected;
	const char *path = uri_path_of(control, connected->host);
	bool fits;

	uri.path[0] = '\0';
	if (path > control)
		fits = (path[0] == '/' || uri_put(&uri, "/", 1)) &&
		       uri_put(&uri, path, strlen(path));
	else
		fits = uri_put_base(&uri, connected, base) &&
		       (!control[0] || !strcmp(control, "*") || uri_put_control(&uri, control));
	if (!fits)
		return -ENAMETOOLONG;
	*ret = uri;
	return 0;
}

/* Decodes one character. Returns how many were used, 0 when it is wrong. */
static size_t uri_decode_char(const char *p, size_t n, char *ret, const char **why)
{
	*ret = p[0];
	*why = "the path holds a control character";
	if (p[0] != '%')
		return (unsigned char)p[0] >= ' ' && p[0] != 0x7f ? 1 : 0;
	*why = "the path has a broken escape";
	if (n < 3 || uri_hex(p[1]) < 0 || uri_hex(p[2]) < 0)
		return 0;
	*ret = (char)(uri_hex(p[1]) << 4 | uri_hex(p[2]));
	*why = "the path has an escaped slash or control character";
	return *ret == '/' || (unsigned char)*ret < ' ' || *ret == 0x7f ? 0 : 3;
}

/* Ends the segment that begins at `start` of ret: "." and ".." go. False for a climb above the root. */
static bool uri_end_segment(char *ret, size_t start, size_t *n)
{
	size_t length = *n - start;

	if (length == 1 && ret[start] == '.') {
		*n = start;
	} else if (length == 2 && ret[start] == '.' && ret[start + 1] == '.') {
		if (start <= 1)
			return false;
		for (*n = start - 1; *n > 1 && ret[*n - 1] != '/'; (*n)--)
			;
	}
	return true;
}

int uri_decode_path(char *ret, size_t size, const char *p, size_t n, const char **why)
{
	size_t used = 0, start = 1, i = 0;

	*why = "the path does not start with a slash";
	if (!n || p[0] != '/' || size < 2)
		return -EBADMSG;
	ret[used++] = '/';
	for (i = 1; i <= n;) {
		size_t taken = 1;
		char c = '/';

		if (i == n || p[i] == '/') {
			*why = "the path climbs above the root";
			if (!uri_end_segment(ret, start, &used))
				return -EBADMSG;
			if (i == n)
				break;
			if (ret[used - 1] == '/') { /* empty segments vanish */
				i++;
				start = used;
				continue;
			}
		} else {
			taken = uri_decode_char(p + i, n - i, &c, why);
			if (!taken)
				return -EBADMSG;
		}
		*why = "the path is too long";
		if (used + 1 >= size)
			return -EBADMSG;
		ret[used++] = c;
		i += taken;
		if (c == '/')
			start = used;
	}
	ret[used] = '\0';
	return 0;
}

int uri_encode_path(char *ret, size_t size, const char *path)
{
	static const char hex[] = "0123456789ABCDEF";
	static const bool is_plain[256] = { ['0' ... '9'] = true,
		['a' ... 'z'] = true,
		['A' ... 'Z'] = true,
		['-'] = true,
		['.'] = true,
		['_'] = true,
		['~'] = true,
		['/'] = true,
		[':'] = true,
		['@'] = true,
		['!'] = true,
		['$'] = true,
		['&'] = true,
		['\''] = true,
		['('] = true,
		[')'] = true,
		['*'] = true,
		['+'] = true,
		[','] = true,
		[';'] = true,
		['='] = true };
	size_t used = 0;

	for (; *path; path++) {
		unsigned char c = (unsigned char)*path;

		if (used + (is_plain[c] ? 1 : 3) >= size)
			return -ENAMETOOLONG;
		if (is_plain[c]) {
			ret[used++] = (char)c;
			continue;
		}
		ret[used++] = '%';
		ret[used++] = hex[c >> 4];
		ret[used++] = hex[c & 15];
	}
	ret[used] = '\0';
	return 0;
}
