#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocols/message.h"
#include "server/base/attributes.h"

/*
 * A browser's offer (RFC 8866, RFC 9429): what it would take, and by which numbers. Values point into
 * the parsed bytes. Pure.
 */

enum {
	WHEP_OFFER_BYTES = 64 << 10, /* the longest that is read */
	WHEP_MEDIA = 8,              /* m= lines; of more there is an error */
	WHEP_FORMATS = 64,           /* of an m= line; more are overlooked */
	WHEP_UFRAG_BYTES = 256,      /* RFC 8839 section 5.4 */
};

enum whep_kind {
	WHEP_VIDEO,
	WHEP_AUDIO,
	WHEP_OTHER
};

enum whep_feedback {
	WHEP_NACK = 1 << 0,
	WHEP_PLI = 1 << 1,
	WHEP_FIR = 1 << 2,
};

struct whep_format {
	uint8_t type;
	struct message_text encoding; /* of rtpmap; p is NULL when there is none */
	uint64_t clock_hz;
	unsigned channels;        /* 1 when unsaid */
	struct message_text fmtp; /* parameters after the payload type */
	unsigned feedback;        /* of enum whep_feedback */
};

/* What may stand in the session or in a media section. */
struct whep_security {
	struct message_text ufrag, password, hash, fingerprint, setup;
};

struct whep_media {
	enum whep_kind kind;
	struct message_text name;     /* "video", as of the m= line */
	struct message_text protocol; /* "UDP/TLS/RTP/SAVPF" */
	struct message_text formats;  /* the rest of that line */
	struct message_text mid;
	bool is_rejected; /* port 0, and not by a=bundle-only */
	bool takes;       /* it would receive: recvonly or sendrecv */
	bool rtcp_mux, rtcp_rsize;
	struct whep_security security;
	struct whep_format format[WHEP_FORMATS];
	size_t n_formats;
};

struct whep_offer {
	struct whep_security security; /* of the session */
	struct message_text bundle;    /* mids of the first a=group:BUNDLE */
	struct whep_media media[WHEP_MEDIA];
	size_t n_media;
};

/* Parses the n bytes. Returns 0, or -EBADMSG and a static *why. */
int whep_offer_parse(struct whep_offer *ret, const char *p, size_t n, const char **why) MUST_CHECK;

/* Of the media section where it says so, else of the session; "" where neither does. */
struct whep_security whep_offer_security(
	const struct whep_offer *offer, const struct whep_media *media);

/* Whether the mid is in the bundle (RFC 9143), so that it can share the transport of another. */
bool whep_offer_bundles(const struct whep_offer *offer, struct message_text mid);

/* What is to be sent. */
struct whep_wanted {
	const char *encoding; /* as in rtpmap */
	unsigned clock_hz, channels;
	unsigned profile,
		constraints; /* profile_idc and constraint flags of H.264; general_profile_idc of H.265 */
};

/*
 * The first format that can play it: H.264 with packetization-mode 1 and a profile that includes the
 * stream's (a level is a promise that decoders exceed). NULL and a static *why when there is none.
 */
const struct whep_format *whep_offer_choose(
	const struct whep_media *media, const struct whep_wanted *wanted, const char **why);

/*
 * Part of trickle ICE (RFC 8840): the user fragment that a=ice-ufrag names; { NULL, 0 } without one.
 */
struct message_text whep_fragment_ufrag(const char *p, size_t n);
