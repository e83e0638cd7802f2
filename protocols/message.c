/* Heads of HTTP and RTSP messages (RFC 9112 sections 2 to 5, RFC 2326 sections 4 to 7). */
#include "protocols/message.h"

#include <errno.h>
#include <string.h>

static char message_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool message_same(const char *a, const char *b, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (message_lower(a[i]) != message_lower(b[i]))
			return false;
	}
	return true;
}

static bool message_is_space(char c)
{
	return c == ' ' || c == '\t';
}

static struct message_text message_trim(const char *p, const char *end)
{
	while (p < end && (message_is_space(*p) || *p == '\r'))
		p++;
	while (end > p && (message_is_space(end[-1]) || end[-1] == '\r'))
		end--;
	return (struct message_text){ p, (size_t)(end - p) };
}

/* tchar of RFC 9110 section 5.6.2. */
static bool message_is_token_char(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool message_is_token(struct message_text t)
{
	for (size_t i = 0; i < t.n; i++) {
		if (!message_is_token_char(t.p[i]))
			return false;
	}
	return t.n > 0;
}

/* No control characters but tabs; the bytes above 0x7f are somebody's business. */
static bool message_is_clean(struct message_text t)
{
	for (size_t i = 0; i < t.n; i++) {
		unsigned char c = (unsigned char)t.p[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

/*
 * The end of the head: just after its empty line. 0 when it has not come. `start` is where the head
 * begins; what was searched before is not searched again but for the last three bytes.
 */
static size_t message_find_end(const char *p, size_t start, size_t n, size_t seen)
{
	size_t at = seen > start + 3 ? seen - 3 : start;
	const char *lf;

	while ((lf = memchr(p + at, '\n', n - at))) {
		size_t next = (size_t)(lf - p) + 1;

		if (next < n && p[next] == '\n')
			return next + 1;
		if (next + 1 < n && p[next] == '\r' && p[next + 1] == '\n')
			return next + 2;
		at = next;
	}
	return 0;
}

/* --- the start line --- */

/* The next word of the line, up to a space. */
static struct message_text message_word(const char **at, const char *end)
{
	const char *p = *at;

	while (p < end && message_is_space(*p))
		p++;
	*at = p;
	while (*at < end && !message_is_space(**at))
		(*at)++;
	return (struct message_text){ p, (size_t)(*at - p) };
}

/* "RTSP/1.0 200 OK" */
static int message_parse_status(
	struct message *m, const char *at, const char *end, const char **why)
{
	struct message_text status;
	uint64_t number;

	m->protocol = message_word(&at, end);
	status = message_word(&at, end);
	if (status.n != 3 || !message_text_number(status, 999, &number) || number < 100) {
		*why = "the status is not a number of three digits";
		return -EBADMSG;
	}
	m->status = (int)number;
	m->reason = message_trim(at, end);
	return 0;
}

/* "GET /path HTTP/1.1" */
static int message_parse_request(
	struct message *m, const char *at, const char *end, bool strict, const char **why)
{
	const char *start = at;

	m->is_request = true;
	m->method = message_word(&at, end);
	m->target = message_word(&at, end);
	m->protocol = message_word(&at, end);
	if (!message_is_token(m->method) || !m->target.n ||
		!message_text_starts(m->protocol,
			m->protocol.n > 4 && m->protocol.p[0] == 'R' ? "RTSP/" : "HTTP/")) {
		*why = "the request line is not \"METHOD target PROTOCOL/version\"";
		return -EBADMSG;
	}
	/* exactly one space between the words, nothing before or after */
	if (strict && (m->method.p != start || m->target.p != m->method.p + m->method.n + 1 ||
			      m->protocol.p != m->target.p + m->target.n + 1 || at != end)) {
		*why = "stray space in the request line";
		return -EBADMSG;
	}
	return 0;
}

static int message_parse_start(
	struct message *m, const char *p, const char *end, bool strict, const char **why)
{
	struct message_text line = { p, (size_t)(end - p) };

	if (!message_is_clean(line)) {
		*why = "a control character in the start line";
		return -EBADMSG;
	}
	if (message_text_starts(line, "HTTP/") || message_text_starts(line, "RTSP/"))
		return message_parse_status(m, p, end, why);
	return message_parse_request(m, p, end, strict, why);
}

/* --- fields --- */

/* Returns 0 for a field, 1 for a line to leave out, or -EBADMSG. */
static int message_parse_field(
	struct message_field *field, const char *p, const char *end, bool strict, const char **why)
{
	const char *colon = memchr(p, ':', (size_t)(end - p));

	*why = "a header field without a colon";
	if (!colon)
		return strict ? -EBADMSG : 1;
	field->name =
		strict ? (struct message_text){ p, (size_t)(colon - p) } : message_trim(p, colon);
	field->value = message_trim(colon + 1, end);
	*why = "a header field's name is not a token";
	if (!message_is_token(field->name))
		return strict ? -EBADMSG : 1;
	*why = "a control character in a header field";
	if (!message_is_clean(field->value))
		return strict ? -EBADMSG : 1;
	return 0;
}

static int message_parse_fields(
	struct message *m, const char *p, const char *end, bool strict, const char **why)
{
	while (p < end) {
		const char *lf = memchr(p, '\n', (size_t)(end - p));
		const char *stop = lf > p && lf[-1] == '\r' ? lf - 1 : lf;
		int result;

		if (stop == p)
			return 0; /* the empty line */
		if (m->n_fields == MESSAGE_FIELDS) {
			*why = "too many header fields";
			return -EMSGSIZE;
		}
		result = message_parse_field(&m->fields[m->n_fields], p, stop, strict, why);
		if (result < 0)
			return result;
		if (result == 0)
			m->n_fields++;
		p = lf + 1;
	}
	return 0;
}

/* Two different lengths are how requests are smuggled past a proxy. */
static int message_check(const struct message *m, bool strict, const char **why)
{
	uint64_t length;

	if (strict && message_content_length(m, &length) < 0) {
		*why = "Content-Length makes no sense";
		return -EBADMSG;
	}
	return 0;
}

ssize_t message_parse(
	struct message *ret, const char *p, size_t n, size_t seen, bool strict, const char **why)
{
	size_t start = 0, end;
	const char *lf, *stop;
	int error;

	while (start < n && (p[start] == '\r' || p[start] == '\n'))
		start++;
	end = message_find_end(p, start, n, seen);
	if (!end || end - start > MESSAGE_HEAD_BYTES) {
		*why = "the head is too long";
		return end || n - start > MESSAGE_HEAD_BYTES ? -EMSGSIZE : 0;
	}
	ret->n_fields = 0;
	ret->is_request = false;
	ret->status = 0;
	ret->method = ret->target = ret->reason = ret->protocol = (struct message_text){ NULL, 0 };
	lf = memchr(p + start, '\n', end - start);
	stop = lf > p + start && lf[-1] == '\r' ? lf - 1 : lf;
	error = message_parse_start(ret, p + start, stop, strict, why);
	if (!error)
		error = message_parse_fields(ret, lf + 1, p + end, strict, why);
	if (!error)
		error = message_check(ret, strict, why);
	return error ? error : (ssize_t)end;
}

/* --- looking --- */

const struct message_field *message_find_next(
	const struct message *m, const char *name, const struct message_field *after)
{
	size_t i = after ? (size_t)(after - m->fields) + 1 : 0;

	for (; i < m->n_fields; i++) {
		if (message_text_is(m->fields[i].name, name))
			return &m->fields[i];
	}
	return NULL;
}

struct message_text message_find(const struct message *m, const char *name)
{
	const struct message_field *field = message_find_next(m, name, NULL);

	return field ? field->value : (struct message_text){ NULL, 0 };
}

int message_content_length(const struct message *m, uint64_t *ret)
{
	const struct message_field *field = NULL;
	uint64_t length = 0;
	bool found = false;

	while ((field = message_find_next(m, "Content-Length", field))) {
		uint64_t other;

		if (!message_text_number(field->value, INT64_MAX, &other) ||
			(found && other != length))
			return -EBADMSG;
		length = other;
		found = true;
	}
	*ret = length;
	return 0;
}

bool message_text_is(struct message_text t, const char *s)
{
	return t.p && t.n == strlen(s) && message_same(t.p, s, t.n);
}

bool message_text_starts(struct message_text t, const char *prefix)
{
	size_t n = strlen(prefix);

	return t.p && t.n >= n && message_same(t.p, prefix, n);
}

bool message_text_has_token(struct message_text t, const char *token)
{
	const char *p = t.p, *end = t.p ? t.p + t.n : NULL;

	while (p < end) {
		const char *comma = memchr(p, ',', (size_t)(end - p));
		const char *stop = comma ? comma : end;

		if (message_text_is(message_trim(p, stop), token))
			return true;
		p = comma ? comma + 1 : end;
	}
	return false;
}

struct message_text message_text_trim(struct message_text t)
{
	return t.n ? message_trim(t.p, t.p + t.n) : t;
}

struct message_text message_text_cut(struct message_text *rest, char separator)
{
	const char *end = rest->n ? memchr(rest->p, separator, rest->n) : NULL;
	struct message_text part = { rest->p, end ? (size_t)(end - rest->p) : rest->n };

	rest->p = rest->n ? rest->p + part.n + (end ? 1 : 0) : rest->p;
	rest->n -= part.n + (end ? 1 : 0);
	return message_text_trim(part);
}

char *message_text_copy(char *ret, size_t size, struct message_text t)
{
	size_t n = t.n < size ? t.n : size - 1;

	if (n)
		memcpy(ret, t.p, n);
	ret[n] = '\0';
	return ret;
}

bool message_text_number(struct message_text t, uint64_t max, uint64_t *ret)
{
	uint64_t value = 0;

	if (t.n == 0)
		return false;
	for (size_t i = 0; i < t.n; i++) {
		unsigned digit = (unsigned char)t.p[i] - '0';

		if (digit > 9 || value > (max - digit) / 10 || max < digit)
			return false;
		value = value * 10 + digit;
	}
	*ret = value;
	return true;
}
