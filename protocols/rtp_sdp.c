/* What is sent as SDP (RFC 8866) with the fmtp of RFC 6184 section 8.2, RFC 7798 section 7.2, RFC 3640, RFC 7587. */
#include <string.h>

#include <event2/buffer.h>

#include "protocols/base64.h"
#include "protocols/rtp_track.h"
#include "server/media/h265.h"

enum {
	SETS_BYTES = 16384,
	BASE64_BYTES = 4096
};

static void sdp_add_base64(struct evbuffer *out, const char *before, const uint8_t *p, size_t n)
{
	char text[BASE64_BYTES];

	if (base64_write(text, sizeof(text), p, n) >= 0)
		evbuffer_add_printf(out, "%s%s", before, text);
}

/* --- what stands behind a=fmtp --- */

static void sdp_add_h264(struct evbuffer *out, const AVCodecParameters *parameters)
{
	uint8_t sets[SETS_BYTES];
	size_t n = rtp_parameter_sets(parameters, sets, sizeof(sets));
	const uint8_t *nal;
	size_t at = 0, nal_bytes;
	const char *before = ";sprop-parameter-sets=";

	evbuffer_add_printf(out, "packetization-mode=1");
	nal = n ? rtp_nal_next(sets, n, &at, &nal_bytes) : NULL;
	if (nal && nal_bytes >= 4)
		evbuffer_add_printf(out, ";profile-level-id=%02X%02X%02X", nal[1], nal[2], nal[3]);
	at = 0;
	while (at < n && (nal = rtp_nal_next(sets, n, &at, &nal_bytes))) {
		sdp_add_base64(out, before, nal, nal_bytes);
		before = ",";
	}
}

static void sdp_add_h265(struct evbuffer *out, const AVCodecParameters *parameters)
{
	static const struct {
		unsigned type;
		const char *name;
	} kinds[] = {
		{H265_VPS,  "sprop-vps="},
		{ H265_SPS, "sprop-sps="},
		{ H265_PPS, "sprop-pps="},
	};
	uint8_t sets[SETS_BYTES];
	size_t n = rtp_parameter_sets(parameters, sets, sizeof(sets));
	const char *separator = "";

	for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++) {
		const uint8_t *nal;
		const char *before = kinds[i].name;
		size_t at = 0, nal_bytes;
		while (at < n && (nal = rtp_nal_next(sets, n, &at, &nal_bytes))) {
			if (nal_bytes == 0 || h265_nal_type(nal) != kinds[i].type)
				continue;
			if (before == kinds[i].name)
				evbuffer_add_printf(out, "%s", separator);
			sdp_add_base64(out, before, nal, nal_bytes);
			before = ",";
			separator = ";";
		}
	}
}

static void sdp_add_aac(struct evbuffer *out, const AVCodecParameters *parameters)
{
	evbuffer_add_printf(out, "streamtype=5;profile-level-id=1;mode=AAC-hbr;sizelength=13;"
				 "indexlength=3;indexdeltalength=3;config=");
	for (int i = 0; i < parameters->extradata_size; i++)
		evbuffer_add_printf(out, "%02X", parameters->extradata[i]);
}

static void sdp_add_opus(struct evbuffer *out, const AVCodecParameters *parameters)
{
	evbuffer_add_printf(out, "sprop-stereo=%d", parameters->ch_layout.nb_channels == 2);
}

static const struct {
	enum AVCodecID id;
	void (*add)(struct evbuffer *out, const AVCodecParameters *parameters);
} formats[] = {
	{AV_CODEC_ID_H264,  sdp_add_h264},
	{ AV_CODEC_ID_HEVC, sdp_add_h265},
	{ AV_CODEC_ID_AAC,  sdp_add_aac },
	{ AV_CODEC_ID_OPUS, sdp_add_opus},
};

/* --- the description --- */

static void sdp_add_track(
	struct evbuffer *out, const AVCodecParameters *parameters, unsigned i, unsigned port)
{
	const struct rtp_encoding *encoding = rtp_encoding_of(parameters);
	unsigned type = rtp_payload_type(encoding, parameters, i);
	bool video = parameters->codec_type == AVMEDIA_TYPE_VIDEO;
	/* RFC 7587 section 7: Opus is always said to have two channels */
	int channels = encoding->id == AV_CODEC_ID_OPUS ? 2 : parameters->ch_layout.nb_channels;

	evbuffer_add_printf(out, "m=%s %u RTP/AVP %u\r\na=rtpmap:%u %s/%d",
		video ? "video" : "audio", port, type, type, encoding->name,
		rtp_clock_hz(encoding, parameters));
	if (!video && channels > 1)
		evbuffer_add_printf(out, "/%d", channels);
	for (size_t k = 0; k < ARRAY_LENGTH(formats); k++)
		if (formats[k].id == encoding->id) {
			evbuffer_add_printf(out, "\r\na=fmtp:%u ", type);
			formats[k].add(out, parameters);
		}
	if (encoding->id == AV_CODEC_ID_MJPEG) /* whose RTP has no word for sizes beyond 2040 */
		evbuffer_add_printf(out, "\r\na=framesize:%u %d-%d\r\na=x-dimensions:%d,%d", type,
			parameters->width, parameters->height, parameters->width,
			parameters->height);
	evbuffer_add_printf(out, "\r\na=control:trackID=%u\r\n", i);
}

/* The connection's line (RFC 8866 section 5.7): the group, or none yet. */
static void sdp_add_connection(
	struct evbuffer *out, const char *family, const struct rtp_group *group)
{
	if (group)
		evbuffer_add_printf(out, "c=IN IP4 %s/%u\r\n", group->address, group->ttl);
	else
		evbuffer_add_printf(out, "c=IN %s %s\r\n", family,
			strcmp(family, "IP6") == 0 ? "::" : "0.0.0.0");
}

void rtp_sdp_write(const struct rtp_sdp *sdp, struct evbuffer *out)
{
	const char *family = strchr(sdp->address, ':') ? "IP6" : "IP4";

	evbuffer_add_printf(out, "v=0\r\no=- %u 1 IN %s %s\r\ns=%s\r\n", sdp->version, family,
		sdp->address, sdp->name);
	sdp_add_connection(out, family, sdp->group);
	evbuffer_add_printf(out, "t=0 0\r\na=tool:nvrd\r\na=control:*\r\n%s", sdp->attributes);
	for (unsigned i = 0; i < STREAM_TRACKS; i++) {
		const AVCodecParameters *parameters = sdp->tracks[i];
		unsigned port = sdp->group ? sdp->group->port + 2 * i : 0;
		if (!parameters || !rtp_encoding_of(parameters))
			continue;
		sdp_add_track(out, parameters, i, port);
		if (sdp->track_attributes[i])
			evbuffer_add_printf(out, "%s", sdp->track_attributes[i]);
	}
}
