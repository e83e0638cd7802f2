/* The Transport field: alternatives by ',', parameters by ';' (RFC 2326 section 12.39). */
#include "protocols/rtsp_transport.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

struct text {
	const char *p;
	size_t n;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static struct text trimmed(const char *p, size_t n)
{
	while (n > 0 && is_blank(*p)) {
		p++;
		n--;
	}
	while (n > 0 && is_blank(p[n - 1]))
		n--;
	return (struct text){ p, n };
}

/* Cuts the part before the separator off *rest. */
static struct text next_part(struct text *rest, char separator)
{
	const char *end = rest->n > 0 ? memchr(rest->p, separator, rest->n) : NULL;
	size_t n = end ? (size_t)(end - rest->p) : rest->n;
	struct text part = trimmed(rest->p, n);

	n += end ? 1 : 0;
	rest->p += n;
	rest->n -= n;
	return part;
}

static bool text_is(struct text t, const char *s)
{
	return t.n == strlen(s) && strncasecmp(t.p, s, t.n) == 0;
}

/* "a-b" or "a" in base 10, each up to max. */
static bool parse_pair(struct text t, unsigned max, unsigned ret[2])
{
	unsigned value[2] = { 0, 0 };
	unsigned i = 0;
	size_t digits = 0;

	for (size_t k = 0; k < t.n; k++) {
		char c = t.p[k];
		if (c == '-' && i == 0 && digits > 0) {
			i = 1;
			digits = 0;
			continue;
		}
		if (c < '0' || c > '9' || ++digits > 5)
			return false;
		value[i] = value[i] * 10 + (unsigned)(c - '0');
	}
	if (digits == 0)
		return false;
	if (i == 0)
		value[1] = value[0] + 1;
	if (value[0] > max || value[1] > max)
		return false;
	memcpy(ret, value, sizeof(value));
	return true;
}

/* One parameter. Returns false when the alternative cannot be served because of it. */
static bool take_parameter(struct rtsp_transport *t, struct text parameter)
{
	struct text value = parameter;
	struct text name = next_part(&value, '=');
	unsigned pair[2];

	if (text_is(name, "multicast")) {
		if (t->over == RTSP_OVER_TCP)
			return false;
		t->over = RTSP_OVER_MULTICAST;
	}
	if (text_is(name, "interleaved") && t->over == RTSP_OVER_TCP) {
		if (!parse_pair(trimmed(value.p, value.n), UINT8_MAX, pair))
			return false;
		t->has_channels = true;
		t->channels[0] = (uint8_t)pair[0];
		t->channels[1] = (uint8_t)pair[1];
	}
	if (text_is(name, "client_port") && t->over != RTSP_OVER_TCP) {
		if (!parse_pair(trimmed(value.p, value.n), UINT16_MAX, pair) || pair[0] == 0)
			return false;
		t->ports[0] = (uint16_t)pair[0];
		t->ports[1] = (uint16_t)pair[1];
	}
	if (text_is(name, "mode")) {
		value = trimmed(value.p, value.n);
		t->record = text_is(value, "record") || text_is(value, "\"record\"");
		return t->record || text_is(value, "play") || text_is(value, "\"play\"");
	}
	return true;
}

static bool parse_alternative(struct rtsp_transport *ret, struct text alternative, unsigned allowed)
{
	struct rtsp_transport t = { .over = RTSP_OVER_TCP };
	struct text protocol = next_part(&alternative, ';');

	if (text_is(protocol, "RTP/AVP") || text_is(protocol, "RTP/AVP/UDP"))
		t.over = RTSP_OVER_UDP;
	else if (!text_is(protocol, "RTP/AVP/TCP"))
		return false;
	while (alternative.n > 0)
		if (!take_parameter(&t, next_part(&alternative, ';')))
			return false;
	if (!(t.over & allowed) || (t.over == RTSP_OVER_UDP && t.ports[0] == 0))
		return false;
	*ret = t;
	return true;
}

int rtsp_transport_parse(struct rtsp_transport *ret, const char *p, size_t n, unsigned allowed)
{
	struct text rest = { p, n };

	while (rest.n > 0)
		if (parse_alternative(ret, next_part(&rest, ','), allowed))
			return 0;
	return -ENOTSUP;
}
