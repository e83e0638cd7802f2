/* Answers of WebRTC (RFC 8866, RFC 8829, RFC 8839, RFC 5576). */
#include "protocols/whep_answer.h"

#include <event2/buffer.h>

#include "server/base/attributes.h"

#define TEXT(t) (int)(t).n, (t).p ? (t).p : ""

static void write_bundle(const struct whep_answer *a, struct evbuffer *out)
{
	if (!a->offer->bundle.p)
		return;
	evbuffer_add_printf(out, "a=group:BUNDLE");
	for (size_t i = 0; i < a->offer->n_media; i++) {
		struct message_text mid = a->offer->media[i].mid;
		if (a->media[i].format && whep_offer_bundles(a->offer, mid))
			evbuffer_add_printf(out, " %.*s", TEXT(mid));
	}
	evbuffer_add_printf(out, "\r\n");
}

static void write_format(const struct whep_format *f, struct evbuffer *out)
{
	static const struct {
		unsigned bit;
		const char *words;
	} feedback[] = {
		{WHEP_NACK, "nack"    },
                { WHEP_PLI, "nack pli"},
                { WHEP_FIR, "ccm fir" }
	};

	if (f->encoding.p) {
		evbuffer_add_printf(out, "a=rtpmap:%u %.*s/%u", f->type, TEXT(f->encoding),
			(unsigned)f->clock_hz);
		if (f->channels > 1)
			evbuffer_add_printf(out, "/%u", f->channels);
		evbuffer_add_printf(out, "\r\n");
	}
	if (f->fmtp.n > 0)
		evbuffer_add_printf(out, "a=fmtp:%u %.*s\r\n", f->type, TEXT(f->fmtp));
	for (size_t i = 0; i < ARRAY_LENGTH(feedback); i++) {
		if (f->feedback & feedback[i].bit)
			evbuffer_add_printf(out, "a=rtcp-fb:%u %s\r\n", f->type, feedback[i].words);
	}
}

static void write_mid(const struct whep_media *m, struct evbuffer *out)
{
	if (m->mid.p)
		evbuffer_add_printf(out, "a=mid:%.*s\r\n", TEXT(m->mid));
}

static void write_refused(const struct whep_media *m, struct evbuffer *out)
{
	evbuffer_add_printf(out, "m=%.*s 0 %.*s %.*s\r\nc=IN IP4 0.0.0.0\r\n", TEXT(m->name),
		TEXT(m->protocol), TEXT(m->formats));
	write_mid(m, out);
	evbuffer_add_printf(out, "a=inactive\r\n");
}

static void write_sent(const struct whep_answer *a, size_t i, struct evbuffer *out)
{
	const struct whep_media *m = &a->offer->media[i];
	const struct whep_answer_media *ours = &a->media[i];

	evbuffer_add_printf(out,
		"m=%.*s 9 %.*s %u\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\n",
		TEXT(m->name), TEXT(m->protocol), ours->format->type);
	write_mid(m, out);
	evbuffer_add_printf(out,
		"a=ice-ufrag:%s\r\na=ice-pwd:%s\r\na=fingerprint:sha-256 %s\r\na=setup:passive\r\n"
		"a=sendonly\r\na=rtcp-mux\r\n",
		a->ufrag, a->password, a->fingerprint);
	if (m->rtcp_rsize)
		evbuffer_add_printf(out, "a=rtcp-rsize\r\n");
	write_format(ours->format, out);
	evbuffer_add_printf(out,
		"a=msid:" WHEP_CNAME " %.*s\r\na=ssrc:%u cname:" WHEP_CNAME "\r\n"
		"a=ssrc:%u msid:" WHEP_CNAME " %.*s\r\n%sa=end-of-candidates\r\n",
		TEXT(m->name), ours->ssrc, ours->ssrc, TEXT(m->name), a->candidates);
}

void whep_answer_write(const struct whep_answer *a, struct evbuffer *out)
{
	evbuffer_add_printf(
		out, "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=%s\r\nt=0 0\r\na=ice-lite\r\n", a->name);
	write_bundle(a, out);
	evbuffer_add_printf(out, "a=msid-semantic: WMS " WHEP_CNAME "\r\n");
	for (size_t i = 0; i < a->offer->n_media; i++) {
		if (a->media[i].format)
			write_sent(a, i, out);
		else
			write_refused(&a->offer->media[i], out);
	}
}
