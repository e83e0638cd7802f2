/* RTCP feedback of receivers (RFC 4585, RFC 5104). */
#include "protocols/rtcp_feedback.h"

#include <errno.h>

#include "server/base/reader.h"

enum {
	TRANSPORT_FEEDBACK = 205,
	PAYLOAD_FEEDBACK = 206,
	NACK = 1, /* formats of the one */
	PLI = 1,  /* and of the other */
	FIR = 4,
	ITEM_BYTES = 4,
	SSRC_BYTES = 4,
};

static void take_nacks(struct rtcp_feedback *ret, struct reader *content)
{
	reader_skip(content, SSRC_BYTES);
	uint32_t about = reader_u32(content);
	size_t n = reader_left(content) / ITEM_BYTES;

	if (content->why || n == 0 || ret->nacks)
		return;
	ret->nacks_about = about;
	ret->n_nacks = n;
	ret->nacks = content->at;
}

static void take_packet(
	struct rtcp_feedback *ret, unsigned format, uint8_t type, struct reader *content)
{
	if (type == TRANSPORT_FEEDBACK && format == NACK)
		take_nacks(ret, content);
	else if (type == PAYLOAD_FEEDBACK && (format == PLI || format == FIR))
		ret->wants_keyframe = true;
}

int rtcp_feedback_parse(struct rtcp_feedback *ret, const uint8_t *p, size_t n, const char **why)
{
	struct reader r = reader_of(p, n);
	struct rtcp_feedback feedback = { 0 };

	if (n == 0)
		reader_fail(&r, "it is empty");
	while (reader_left(&r) > 0) {
		uint8_t first = reader_u8(&r);
		uint8_t type = reader_u8(&r);
		size_t bytes = reader_u16(&r) * (size_t)4;
		const uint8_t *at = reader_bytes(&r, bytes);
		struct reader content = reader_of(at, at ? bytes : 0);

		if (first >> 6 != 2)
			reader_fail(&r, "not RTCP");
		if (!r.why)
			take_packet(&feedback, first & 0x1f, type, &content);
	}
	*why = r.why;
	if (r.why)
		return -EBADMSG;
	*ret = feedback;
	return 0;
}

uint16_t rtcp_feedback_nack(const struct rtcp_feedback *feedback, size_t i, uint16_t *behind)
{
	const uint8_t *item = feedback->nacks + i * ITEM_BYTES;

	*behind = (uint16_t)(item[2] << 8 | item[3]);
	return (uint16_t)(item[0] << 8 | item[1]);
}
