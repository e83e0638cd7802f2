/* Session, Transport, RTP-Info, Content-Base and Location as cameras write them (RFC 2326 section 12). */
#include "protocols/rtsp_fields.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

enum {
	URL_BYTES = URI_PATH_BYTES + URI_HOST_BYTES + 32
};

static struct message_text field_of(const char *p, size_t n)
{
	return message_text_trim((struct message_text){ n ? p : "", n });
}

/* name=value: cuts the name off, and the quotes around the value. */
static struct message_text field_name(struct message_text *value)
{
	struct message_text name = message_text_cut(value, '=');

	*value = message_text_trim(*value);
	while (value->n && value->p[0] == '"')
		value->p++, value->n--;
	while (value->n && value->p[value->n - 1] == '"')
		value->n--;
	return name;
}

/* Takes a decimal number off the front. False when there is none, or one above max. */
static bool field_number(struct message_text *t, uint64_t max, uint64_t *ret)
{
	struct message_text digits = { t->p, 0 };

	while (digits.n < t->n && t->p[digits.n] >= '0' && t->p[digits.n] <= '9')
		digits.n++;
	t->p += digits.n;
	t->n -= digits.n;
	*t = message_text_trim(*t);
	return message_text_number(digits, max, ret);
}

/* "a-b", or "a" alone: then b is one more. */
static bool field_pair(struct message_text t, uint64_t max, uint64_t ret[2])
{
	if (!field_number(&t, max, &ret[0]))
		return false;
	ret[1] = ret[0] + 1;
	if (t.n && t.p[0] == '-') {
		t = message_text_trim((struct message_text){ t.p + 1, t.n - 1 });
		if (!field_number(&t, max, &ret[1]))
			ret[1] = ret[0] + 1;
	}
	return ret[1] <= max;
}

/* --- Session --- */

static bool session_is_printable(struct message_text id)
{
	for (size_t i = 0; i < id.n; i++) {
		unsigned char c = (unsigned char)id.p[i];

		if (c < ' ' || c >= 0x7f)
			return false;
	}
	return id.n > 0 && id.n < RTSP_SESSION_BYTES;
}

int rtsp_parse_session(struct rtsp_session *ret, const char *p, size_t n)
{
	struct message_text rest = field_of(p, n);
	struct message_text id = message_text_cut(&rest, ';');
	unsigned timeout_s = RTSP_SESSION_TIMEOUT_S;
	bool has_timeout = false;

	if (!session_is_printable(id))
		return -EBADMSG;
	while (rest.n) {
		struct message_text value = message_text_cut(&rest, ';');
		uint64_t number;

		if (!message_text_is(field_name(&value), "timeout"))
			continue;
		has_timeout = true;
		if (field_number(&value, RTSP_SESSION_TIMEOUT_S, &number) && number > 0)
			timeout_s = (unsigned)number;
	}
	message_text_copy(ret->id, sizeof(ret->id), id);
	ret->timeout_s = timeout_s;
	ret->has_timeout = has_timeout;
	return 0;
}

/* --- Transport --- */

static void transport_take_channels(struct rtsp_transport_answer *t, struct message_text value)
{
	uint64_t pair[2];

	t->lower = RTSP_LOWER_TCP;
	if (!field_pair(value, UINT8_MAX, pair))
		return;
	t->has_channels = true;
	t->channels[0] = (uint8_t)pair[0];
	t->channels[1] = (uint8_t)pair[1];
}

static void transport_take_ports(struct rtsp_transport_answer *t, struct message_text value)
{
	uint64_t pair[2];

	if (!field_pair(value, UINT16_MAX, pair) || pair[0] == 0)
		return;
	t->server_ports[0] = (uint16_t)pair[0];
	t->server_ports[1] = (uint16_t)(pair[1] ? pair[1] : pair[0] + 1);
}

/* Up to eight hex digits, with or without 0x. */
static void transport_take_ssrc(struct rtsp_transport_answer *t, struct message_text value)
{
	uint32_t ssrc = 0;

	if (message_text_starts(value, "0x"))
		value.p += 2, value.n -= 2;
	if (value.n == 0 || value.n > 8)
		return;
	for (size_t i = 0; i < value.n; i++) {
		char c = (char)(value.p[i] | 0x20);
		unsigned digit = c >= 'a' ? (unsigned)(c - 'a') + 10 : (unsigned)(c - '0');

		if (digit > 15 || (c >= 'a') == (digit < 10))
			return;
		ssrc = ssrc << 4 | digit;
	}
	t->has_ssrc = true;
	t->ssrc = ssrc;
}

static void transport_take_source(struct rtsp_transport_answer *t, struct message_text value)
{
	if (value.n)
		t->source = value;
}

static void transport_take_destination(struct rtsp_transport_answer *t, struct message_text value)
{
	if (value.n)
		t->destination = value;
}

static void transport_take_multicast(struct rtsp_transport_answer *t, struct message_text value)
{
	(void)value;
	t->multicast = true;
}

static const struct {
	const char *name;
	void (*take)(struct rtsp_transport_answer *t, struct message_text value);
} transport_parameters[] = {
	{"interleaved",  transport_take_channels   },
	{ "server_port", transport_take_ports      },
	{ "ssrc",        transport_take_ssrc       },
	{ "source",      transport_take_source     },
	{ "destination", transport_take_destination},
	{ "multicast",   transport_take_multicast  },
};

void rtsp_parse_transport_answer(struct rtsp_transport_answer *ret, const char *p, size_t n)
{
	struct message_text all = field_of(p, n);
	struct message_text rest = message_text_cut(&all, ','); /* only one can have been granted */
	struct message_text protocol = message_text_cut(&rest, ';');
	struct rtsp_transport_answer t = { .lower = RTSP_LOWER_UNSAID };

	if (message_text_is(protocol, "RTP/AVP/TCP"))
		t.lower = RTSP_LOWER_TCP;
	else if (message_text_is(protocol, "RTP/AVP/UDP"))
		t.lower = RTSP_LOWER_UDP;
	while (rest.n) {
		struct message_text value = message_text_cut(&rest, ';');
		struct message_text name = field_name(&value);

		for (size_t i = 0; i < ARRAY_LENGTH(transport_parameters); i++) {
			if (message_text_is(name, transport_parameters[i].name))
				transport_parameters[i].take(&t, value);
		}
	}
	if (t.lower == RTSP_LOWER_UNSAID && t.server_ports[0])
		t.lower = RTSP_LOWER_UDP;
	*ret = t;
}

/* --- RTP-Info --- */

/* Whether the n bytes begin with this parameter: "name =". */
static bool info_is(const char *p, size_t n, const char *name)
{
	struct message_text t = { p, n };
	size_t name_bytes = strlen(name);

	t = message_text_trim(t);
	if (!message_text_starts(t, name))
		return false;
	t = message_text_trim((struct message_text){ t.p + name_bytes, t.n - name_bytes });
	return t.n > 0 && t.p[0] == '=';
}

/* Whether a parameter of ours begins here: URLs hold ';' and ',' themselves. */
static bool info_is_parameter(const char *p, size_t n)
{
	return info_is(p, n, "url") || info_is(p, n, "seq") || info_is(p, n, "rtptime");
}

/* Cuts the next stream off: up to a ',' before another url=. */
static struct message_text info_cut(struct message_text *rest)
{
	struct message_text all = *rest;

	for (size_t i = 0; i < all.n; i++) {
		if (all.p[i] != ',' || !info_is(all.p + i + 1, all.n - i - 1, "url"))
			continue;
		*rest = (struct message_text){ all.p + i + 1, all.n - i - 1 };
		return message_text_trim((struct message_text){ all.p, i });
	}
	rest->n = 0;
	return message_text_trim(all);
}

/* Cuts the next parameter off: up to a ';' or ',' before another that we know. */
static struct message_text info_cut_parameter(struct message_text *rest)
{
	struct message_text all = *rest;

	for (size_t i = 0; i < all.n; i++) {
		if ((all.p[i] != ';' && all.p[i] != ',') ||
			!info_is_parameter(all.p + i + 1, all.n - i - 1))
			continue;
		*rest = (struct message_text){ all.p + i + 1, all.n - i - 1 };
		return message_text_trim((struct message_text){ all.p, i });
	}
	rest->n = 0;
	while (all.n && strchr("; ,\t", all.p[all.n - 1]))
		all.n--;
	return message_text_trim(all);
}

static void info_take(struct rtsp_rtp_info *info, struct message_text value)
{
	struct message_text name = field_name(&value);
	uint64_t number;

	if (message_text_is(name, "url") && value.n)
		info->url = value;
	else if (message_text_is(name, "seq") && message_text_number(value, UINT16_MAX, &number)) {
		info->has_sequence = true;
		info->sequence = (uint16_t)number;
	} else if (message_text_is(name, "rtptime") &&
		   message_text_number(value, UINT32_MAX, &number)) {
		info->has_time = true;
		info->time = (uint32_t)number;
	}
}

size_t rtsp_parse_rtp_info(struct rtsp_rtp_info *ret, size_t most, const char *p, size_t n)
{
	struct message_text rest = field_of(p, n);
	size_t count = 0;

	while (rest.n && count < most) {
		struct message_text one = info_cut(&rest);

		ret[count] = (struct rtsp_rtp_info){ 0 };
		while (one.n)
			info_take(&ret[count], info_cut_parameter(&one));
		count++;
	}
	return count;
}

/* How many bytes two texts share at their ends; 0 when that is less than their last path segments. */
static size_t info_likeness(struct message_text url, struct message_text control)
{
	size_t same = 0;
	bool segment;

	while (url.n && url.p[url.n - 1] == '/')
		url.n--;
	while (control.n && control.p[control.n - 1] == '/')
		control.n--;
	while (same < url.n && same < control.n &&
		url.p[url.n - 1 - same] == control.p[control.n - 1 - same])
		same++;
	segment = memchr(control.p + control.n - same, '/', same) ||
		  (same == control.n && (same == url.n || url.p[url.n - 1 - same] == '/'));
	return segment ? same : 0;
}

const struct rtsp_rtp_info *rtsp_find_rtp_info(
	const struct rtsp_rtp_info *infos, size_t n, const char *control, size_t place)
{
	const struct rtsp_rtp_info *found = NULL;
	struct message_text own = { control, strlen(control) };
	size_t best = 0;

	if (place < n) {
		found = &infos[place];
		best = found->url.n ? info_likeness(found->url, own) : 0;
	}
	for (size_t i = 0; i < n; i++) {
		size_t likeness = infos[i].url.n ? info_likeness(infos[i].url, own) : 0;

		if (likeness > best) {
			best = likeness;
			found = &infos[i];
		}
	}
	return found;
}

/* --- Content-Base, Location --- */

void rtsp_repair_base(struct uri *ret, const struct uri *connected, const char *p, size_t n)
{
	struct message_text value = field_of(p, n);
	char text[URL_BYTES];
	struct uri uri;

	if (value.n == 0 || value.n >= sizeof(text) || memchr(value.p, '\0', value.n) ||
		uri_join_control(
			&uri, connected, message_text_copy(text, sizeof(text), value), "") < 0)
		uri = *connected;
	*ret = uri;
}

/* The length of the scheme in front, with "://"; 0 when it is none of ours. */
static size_t location_scheme(struct message_text t)
{
	static const char *const schemes[] = { "rtsp://", "rtsps://", "rtspu://" };

	for (size_t i = 0; i < ARRAY_LENGTH(schemes); i++) {
		if (message_text_starts(t, schemes[i]))
			return strlen(schemes[i]);
	}
	return 0;
}

/* Without what doubles the scheme: "rtsp://rtsp://host". */
static struct message_text location_once(struct message_text t)
{
	size_t n;

	while ((n = location_scheme(t)) &&
		location_scheme((struct message_text){ t.p + n, t.n - n })) {
		t.p += n;
		t.n -= n;
	}
	return t;
}

static bool location_is_rtsp(const struct uri *uri)
{
	return !strcmp(uri->scheme, "rtsp") || !strcmp(uri->scheme, "rtsps") ||
	       !strcmp(uri->scheme, "rtspu");
}

int rtsp_parse_location(struct uri *ret, const struct uri *connected, const char *p, size_t n)
{
	struct message_text value = location_once(field_of(p, n));
	bool path_alone = value.n && value.p[0] == '/';
	const char *why;
	struct uri uri;

	if (uri_parse(&uri, value.p, value.n, &why) < 0 || (!path_alone && !location_is_rtsp(&uri)))
		return -EBADMSG;
	if (path_alone) {
		memcpy(uri.scheme, connected->scheme, sizeof(uri.scheme));
		uri.port = connected->port;
	}
	if (!uri.host[0] || !strcmp(uri.host, "0.0.0.0") || !strcmp(uri.host, "::"))
		memcpy(uri.host, connected->host, sizeof(uri.host));
	/* a password that went encrypted does not go on in the clear */
	if (!uri.has_user && !strcasecmp(uri.host, connected->host) &&
		(strcmp(connected->scheme, "rtsps") || !strcmp(uri.scheme, "rtsps"))) {
		uri.has_user = connected->has_user;
		memcpy(uri.user, connected->user, sizeof(uri.user));
		memcpy(uri.password, connected->password, sizeof(uri.password));
	}
	*ret = uri;
	return 0;
}
