/* Units of any codec into packets: what is counted is what is written, and of what is refused there is nothing. */
#include <stdint.h>
#include <stdlib.h>

#include "protocols/rtp_packetise.h"
#include "server/base/attributes.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static const enum AVCodecID ids[] = { AV_CODEC_ID_H264, AV_CODEC_ID_HEVC, AV_CODEC_ID_MJPEG,
		AV_CODEC_ID_AV1, AV_CODEC_ID_AAC, AV_CODEC_ID_OPUS, AV_CODEC_ID_PCM_MULAW,
		AV_CODEC_ID_PCM_S16BE, AV_CODEC_ID_ADPCM_G726 };
	struct rtp_packets counted = { 0 }, written = { 0 };

	if (n < 2)
		return 0;
	const AVCodecParameters parameters = { .codec_id = ids[p[0] % ARRAY_LENGTH(ids)],
		.bits_per_coded_sample = 2 + p[1] % 4 };
	struct rtp_packetiser s = { .encoding = rtp_encoding_of(&parameters), .channels = p[1] };
	const char *why = rtp_packetise(&s, &counted, p + 2, n - 2, 0);
	written.block = malloc(counted.bytes + 1);
	written.offsets = malloc((counted.n + 1) * sizeof(*written.offsets));
	if (!written.block || !written.offsets ||
		rtp_packetise(&s, &written, p + 2, n - 2, 0) != why ||
		written.bytes != counted.bytes || written.n != counted.n || (why && written.n > 0))
		abort();
	rtp_packets_mark(&written);
	free(written.block);
	free(written.offsets);
	return 0;
}
