/* Keyframes on their own. */
#include "storage/timelapse_picture.h"

#include <stdlib.h>
#include <string.h>

#include "server/base/reader.h"
#include "server/media/h264.h"
#include "server/media/h265.h"

enum {
	H265_BLA_N_LP = 18,
	H265_CRA = 21
};

/* The next NAL unit behind its 4-byte length; false at the end, or when there is no whole one. */
static bool next_nal(struct reader *r, const uint8_t **nal, size_t *n)
{
	*n = reader_u32(r);
	*nal = reader_bytes(r, *n);
	return *nal && *n;
}

static AVPacket *copy_behind(const AVPacket *packet, const uint8_t *prefix, size_t n)
{
	AVPacket *copy = av_packet_alloc();

	if (!copy || av_new_packet(copy, packet->size + (int)n) < 0 ||
		av_packet_copy_props(copy, packet) < 0)
		abort();
	copy->stream_index = packet->stream_index;
	if (n)
		memcpy(copy->data, prefix, n);
	memcpy(copy->data + n, packet->data, (size_t)packet->size);
	return copy;
}

static AVPacket *picture_h264(const AVPacket *packet)
{
	static const uint8_t delimiter[] = { 0, 0, 0, 2, H264_AUD, 0x10 }; /* of I slices */
	struct reader r = reader_of(packet->data, (size_t)packet->size);
	const uint8_t *nal;
	size_t n;

	while (next_nal(&r, &nal, &n)) {
		if (h264_nal_type(nal) == H264_IDR)
			return copy_behind(packet, delimiter, sizeof(delimiter));
	}
	return NULL;
}

static AVPacket *picture_h265(const AVPacket *packet)
{
	AVPacket *copy = copy_behind(packet, NULL, 0);
	struct reader r = reader_of(copy->data, (size_t)copy->size);
	const uint8_t *nal;
	size_t n;

	while (next_nal(&r, &nal, &n)) {
		if (h265_nal_type(nal) == H265_CRA)
			copy->data[nal - copy->data] = (uint8_t)(nal[0] & 0x81) | H265_BLA_N_LP
											  << 1;
	}
	return copy;
}

AVPacket *timelapse_picture(const AVPacket *packet, enum AVCodecID codec)
{
	if (codec == AV_CODEC_ID_H264)
		return picture_h264(packet);
	if (codec == AV_CODEC_ID_HEVC)
		return picture_h265(packet);
	return copy_behind(packet, NULL, 0);
}
