/* Offers of WebRTC: RFC 8866, RFC 8839, RFC 8842, RFC 9143, RFC 4585; H.264 by RFC 6184 section 8.1. */
#include "protocols/whep_offer.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

static bool starts_with(struct message_text line, const char *prefix, struct message_text *rest)
{
	size_t n = strlen(prefix);

	if (line.n < n || memcmp(line.p, prefix, n) != 0)
		return false;
	*rest = (struct message_text){ line.p + n, line.n - n };
	return true;
}

/* The next line without its end. False: there is none. */
static bool next_line(struct message_text *all, struct message_text *line)
{
	const char *end;

	if (all->n == 0)
		return false;
	end = memchr(all->p, '\n', all->n);
	*line = (struct message_text){ all->p, end ? (size_t)(end - all->p) : all->n };
	size_t used = line->n + (end ? 1 : 0);
	all->p += used;
	all->n -= used;
	if (line->n > 0 && line->p[line->n - 1] == '\r')
		line->n--;
	return true;
}

/* --- formats --- */

static void take_formats(struct whep_media *m)
{
	struct message_text rest = m->formats;
	uint64_t type;

	while (rest.n > 0 && m->n_formats < WHEP_FORMATS) {
		if (message_text_number(message_text_cut(&rest, ' '), 127, &type))
			m->format[m->n_formats++] =
				(struct whep_format){ .type = (uint8_t)type, .channels = 1 };
	}
}

/* "96 H264/90000": cuts the payload type off; the format that it is, or NULL. */
static struct whep_format *cut_format(struct whep_media *m, struct message_text *value)
{
	uint64_t type;

	if (!message_text_number(message_text_cut(value, ' '), 127, &type))
		return NULL;
	for (size_t i = 0; i < m->n_formats; i++) {
		if (m->format[i].type == type)
			return &m->format[i];
	}
	return NULL;
}

static void take_rtpmap(struct whep_media *m, struct message_text value)
{
	struct whep_format *format = cut_format(m, &value);
	uint64_t channels = 1;

	if (!format)
		return;
	format->encoding = message_text_cut(&value, '/');
	if (!message_text_number(message_text_cut(&value, '/'), UINT32_MAX, &format->clock_hz))
		format->clock_hz = 0;
	if (value.n > 0 && message_text_number(value, 255, &channels))
		format->channels = (unsigned)channels;
}

static void take_feedback(struct whep_media *m, struct message_text value)
{
	static const struct {
		const char *words;
		unsigned bit;
	} rows[] = {
		{"nack",      WHEP_NACK},
                { "nack pli", WHEP_PLI },
                { "ccm fir",  WHEP_FIR }
	};
	struct message_text all = value, any = message_text_cut(&all, ' ');
	struct whep_format *format = cut_format(m, &value);
	bool is_any = message_text_is(any, "*");

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (format && message_text_is(value, rows[i].words))
			format->feedback |= rows[i].bit;
		for (size_t k = 0;
			is_any && message_text_is(all, rows[i].words) && k < m->n_formats; k++)
			m->format[k].feedback |= rows[i].bit;
	}
}

/* --- lines --- */

/* False: it is none of these. */
static bool take_security(struct whep_security *s, struct message_text line)
{
	struct message_text value;

	if (starts_with(line, "a=ice-ufrag:", &value))
		s->ufrag = value;
	else if (starts_with(line, "a=ice-pwd:", &value))
		s->password = value;
	else if (starts_with(line, "a=setup:", &value))
		s->setup = value;
	else if (starts_with(line, "a=fingerprint:", &value) && !s->hash.p) {
		s->hash = message_text_cut(&value, ' ');
		s->fingerprint = value;
	} else {
		return false;
	}
	return true;
}

static void take_direction(struct whep_media *m, struct message_text line)
{
	if (message_text_is(line, "a=recvonly") || message_text_is(line, "a=sendrecv"))
		m->takes = true;
	else if (message_text_is(line, "a=sendonly") || message_text_is(line, "a=inactive"))
		m->takes = false;
}

static void take_of_media(struct whep_media *m, struct message_text line)
{
	struct message_text value;

	if (take_security(&m->security, line))
		return;
	if (starts_with(line, "a=mid:", &value))
		m->mid = value;
	else if (starts_with(line, "a=rtpmap:", &value))
		take_rtpmap(m, value);
	else if (starts_with(line, "a=rtcp-fb:", &value))
		take_feedback(m, value);
	else if (starts_with(line, "a=fmtp:", &value)) {
		struct whep_format *format = cut_format(m, &value);
		if (format)
			format->fmtp = value;
	} else if (message_text_is(line, "a=rtcp-mux"))
		m->rtcp_mux = true;
	else if (message_text_is(line, "a=rtcp-rsize"))
		m->rtcp_rsize = true;
	else if (message_text_is(line, "a=bundle-only"))
		m->is_rejected = false;
	else
		take_direction(m, line);
}

/* "video 9 UDP/TLS/RTP/SAVPF 96 97". */
static void begin_media(struct whep_media *m, struct message_text value)
{
	struct message_text port;

	*m = (struct whep_media){ .kind = WHEP_OTHER,
		.takes = true }; /* RFC 8866 section 6.7: sendrecv */
	m->name = message_text_cut(&value, ' ');
	port = message_text_cut(&value, ' ');
	m->protocol = message_text_cut(&value, ' ');
	m->formats = value;
	m->is_rejected = message_text_is(port, "0");
	if (message_text_is(m->name, "video"))
		m->kind = WHEP_VIDEO;
	else if (message_text_is(m->name, "audio"))
		m->kind = WHEP_AUDIO;
	take_formats(m);
}

/* What is written back must be what may be written: no control characters, and no NUL. */
static bool is_clean(struct message_text line)
{
	for (size_t i = 0; i < line.n; i++) {
		if ((unsigned char)line.p[i] < ' ' && line.p[i] != '\t')
			return false;
	}
	return true;
}

int whep_offer_parse(struct whep_offer *ret, const char *p, size_t n, const char **why)
{
	struct message_text all = { p, n }, line, value;
	struct whep_media *media = NULL;

	memset(ret, 0, sizeof(*ret));
	*why = "the offer is too long";
	if (n > WHEP_OFFER_BYTES)
		return -EBADMSG;
	*why = "the offer does not begin with v=0";
	if (!next_line(&all, &line) || !message_text_is(line, "v=0"))
		return -EBADMSG;
	while (next_line(&all, &line)) {
		*why = "the offer holds a control character";
		if (!is_clean(line))
			return -EBADMSG;
		if (starts_with(line, "m=", &value)) {
			*why = "the offer has too many media";
			if (ret->n_media == WHEP_MEDIA)
				return -EBADMSG;
			media = &ret->media[ret->n_media++];
			begin_media(media, value);
		} else if (media) {
			take_of_media(media, line);
		} else if (!take_security(&ret->security, line) && !ret->bundle.p &&
			   starts_with(line, "a=group:BUNDLE ", &value)) {
			ret->bundle = value;
		}
	}
	*why = "the offer has no media";
	return ret->n_media > 0 ? 0 : -EBADMSG;
}

static struct message_text first_of(struct message_text a, struct message_text b)
{
	return a.p ? a : b;
}

struct whep_security whep_offer_security(
	const struct whep_offer *offer, const struct whep_media *media)
{
	const struct whep_security *m = &media->security, *s = &offer->security;

	return (struct whep_security){
		.ufrag = first_of(m->ufrag, s->ufrag),
		.password = first_of(m->password, s->password),
		.hash = first_of(m->hash, s->hash),
		.fingerprint = m->hash.p ? m->fingerprint : s->fingerprint,
		.setup = first_of(m->setup, s->setup),
	};
}

bool whep_offer_bundles(const struct whep_offer *offer, struct message_text mid)
{
	struct message_text rest = offer->bundle;

	while (mid.n > 0 && rest.n > 0) {
		struct message_text one = message_text_cut(&rest, ' ');
		if (one.n == mid.n && memcmp(one.p, mid.p, mid.n) == 0)
			return true;
	}
	return false;
}

/* --- choosing --- */

/* The value of a parameter of an fmtp; { NULL, 0 } without it. */
static struct message_text fmtp_value(struct message_text fmtp, const char *name)
{
	while (fmtp.n > 0) {
		struct message_text parameter = message_text_cut(&fmtp, ';');
		struct message_text key = message_text_cut(&parameter, '=');
		if (message_text_is(key, name))
			return parameter;
	}
	return (struct message_text){ NULL, 0 };
}

static int hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef0123456789ABCDEF";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)((at - digits) % 16) : -1;
}

/* "42e01f": the first two bytes. False: it is no such thing. */
static bool parse_profile(struct message_text text, unsigned *profile, unsigned *constraints)
{
	unsigned bytes = 0;

	if (text.n != 6)
		return false;
	for (size_t i = 0; i < 4; i++) {
		int digit = hex_digit(text.p[i]);
		if (digit < 0)
			return false;
		bytes = bytes << 4 | (unsigned)digit;
	}
	*profile = bytes >> 8;
	*constraints = bytes & 0xff;
	return true;
}

/*
 * How much of H.264 a profile is, each including those before it: Baseline (whose own tools nobody uses), Main, High,
 * High 10, High 4:2:2, High 4:4:4 Predictive (ITU-T H.264 annex A.2); 0: another. What keeps constraint_set0 of
 * Main keeps to Baseline, too.
 */
static unsigned h264_rank(unsigned profile, unsigned constraints)
{
	static const uint8_t profiles[] = { 66, 77, 100, 110, 122, 244 };

	if (profile == 77 && (constraints & 0x80))
		profile = 66;
	for (unsigned i = 0; i < sizeof(profiles); i++) {
		if (profiles[i] == profile)
			return i + 1;
	}
	return 0;
}

static bool h264_fits(const struct whep_format *format, const struct whep_wanted *wanted)
{
	struct message_text level = fmtp_value(format->fmtp, "profile-level-id");
	unsigned profile = 66,
		 constraints = 0; /* RFC 6184 section 8.1: Baseline when it is not said */
	unsigned rank = h264_rank(wanted->profile, wanted->constraints);

	if (!message_text_is(fmtp_value(format->fmtp, "packetization-mode"), "1") ||
		(level.p && !parse_profile(level, &profile, &constraints)))
		return false;
	if (rank == 0)
		return profile == wanted->profile;
	return h264_rank(profile, 0) >= rank;
}

static bool h265_fits(const struct whep_format *format, const struct whep_wanted *wanted)
{
	struct message_text text = fmtp_value(format->fmtp, "profile-id");
	uint64_t profile = 1; /* RFC 7798 section 7.1 */

	if (text.p && !message_text_number(text, 31, &profile))
		return false;
	return profile >= wanted->profile; /* Main 10 includes Main */
}

static bool format_fits(const struct whep_format *format, const struct whep_wanted *wanted)
{
	if (strcasecmp(wanted->encoding, "H264") == 0)
		return h264_fits(format, wanted);
	return strcasecmp(wanted->encoding, "H265") != 0 || h265_fits(format, wanted);
}

/* RFC 3551: types that need no rtpmap. */
static bool is_static(const struct whep_format *format, const struct whep_wanted *wanted)
{
	return !format->encoding.p &&
	       ((format->type == 0 && strcasecmp(wanted->encoding, "PCMU") == 0) ||
		       (format->type == 8 && strcasecmp(wanted->encoding, "PCMA") == 0)) &&
	       wanted->clock_hz == 8000 && wanted->channels == 1;
}

const struct whep_format *whep_offer_choose(
	const struct whep_media *media, const struct whep_wanted *wanted, const char **why)
{
	*why = "the codec is not among those offered";
	for (size_t i = 0; i < media->n_formats; i++) {
		const struct whep_format *format = &media->format[i];
		if (is_static(format, wanted))
			return format;
		if (!format->encoding.p || !message_text_is(format->encoding, wanted->encoding) ||
			format->clock_hz != wanted->clock_hz)
			continue;
		if (media->kind == WHEP_AUDIO && format->channels != wanted->channels)
			continue;
		if (format_fits(format, wanted))
			return format;
		*why = "the codec is offered, but not the stream's profile";
	}
	return NULL;
}

struct message_text whep_fragment_ufrag(const char *p, size_t n)
{
	struct message_text all = { p, n }, line, value;

	while (next_line(&all, &line)) {
		if (starts_with(line, "a=ice-ufrag:", &value))
			return value;
	}
	return (struct message_text){ NULL, 0 };
}
