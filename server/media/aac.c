#include "server/media/aac.h"

#include <errno.h>

#include "server/media/bits.h"

/* AudioSpecificConfig (ISO/IEC 14496-3 section 1.6.2.1), GASpecificConfig (4.4.1), ADTS (1.A.2.2). */

enum {
	AAC_LC = 2,
	AAC_LTP = 4,
	AAC_SBR = 5,
	AAC_PS = 29,
	AAC_ESCAPE_RATE = 15,
	AAC_MAX_RATE = 192000
};

static const uint32_t aac_rates[] = { 96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000,
	12000, 11025, 8000, 7350 };
/* by channelConfiguration; 0: by other means, or reserved */
static const uint8_t aac_channels[16] = { 0, 1, 2, 3, 4, 5, 6, 8, 0, 0, 0, 7, 8, 24, 8, 0 };

static uint32_t aac_read_rate(struct bits *b)
{
	uint32_t index = bits_read(b, 4);

	if (index == AAC_ESCAPE_RATE)
		return bits_read(b, 24);
	return index < ARRAY_LENGTH(aac_rates) ? aac_rates[index] : 0;
}

static uint32_t aac_read_object_type(struct bits *b)
{
	uint32_t type = bits_read(b, 5);

	return type == 31 ? 32 + bits_read(b, 6) : type;
}

int aac_config_parse(struct aac_config *ret, const uint8_t *p, size_t n, const char **why)
{
	struct bits b = bits_of(p, n, false);
	uint32_t type = aac_read_object_type(&b);
	uint32_t rate = aac_read_rate(&b);
	uint8_t channels = aac_channels[bits_read(&b, 4)];
	uint32_t core = type;
	uint16_t samples;

	if (type == AAC_SBR || type == AAC_PS) {
		rate = aac_read_rate(&b);
		core = aac_read_object_type(&b);
	}
	samples = bits_read(&b, 1) ? 960 : 1024;
	*why = "AudioSpecificConfig too short";
	if (b.failed)
		return -EBADMSG;
	*why = "not an AAC object type that is known here";
	if (core < 1 || core > AAC_LTP)
		return -EBADMSG;
	*why = "AAC sample rate out of range";
	if (!rate || rate > AAC_MAX_RATE)
		return -EBADMSG;
	*why = "AAC channel layout not supported";
	if (!channels)
		return -EBADMSG;
	ret->object_type = (uint8_t)type;
	ret->sample_rate = rate;
	ret->channels = type == AAC_PS ? 2 : channels;
	ret->frame_samples = type == core ? samples : (uint16_t)(2 * samples);
	*why = NULL;
	return 0;
}

static unsigned aac_index(uint32_t rate)
{
	for (unsigned i = 0; i < ARRAY_LENGTH(aac_rates); i++)
		if (aac_rates[i] == rate)
			return i;
	return AAC_ESCAPE_RATE;
}

size_t aac_config_write(const struct aac_config *config, uint8_t *ret, size_t size)
{
	unsigned rate = aac_index(config->sample_rate);
	size_t bytes = rate == AAC_ESCAPE_RATE ? 5 : 2;
	uint64_t bits = config->object_type;
	unsigned channels = 1;

	while (channels < 16 && aac_channels[channels] != config->channels)
		channels++;
	if (size < bytes || channels == 16 || !config->channels || config->object_type < 1 ||
		config->object_type > AAC_LTP || config->sample_rate > AAC_MAX_RATE)
		return 0;
	bits = bits << 4 | rate;
	if (rate == AAC_ESCAPE_RATE)
		bits = bits << 24 | config->sample_rate;
	bits = bits << 4 | channels;
	bits = bits << 3 | (config->frame_samples == 960 ? 4U : 0U);
	for (size_t i = 0; i < bytes; i++)
		ret[i] = (uint8_t)(bits >> 8 * (bytes - 1 - i));
	return bytes;
}

size_t aac_adts_header(const uint8_t *p, size_t n)
{
	size_t header, frame;

	/* syncword, and layer 0 */
	if (n < 7 || p[0] != 0xff || (p[1] & 0xf6) != 0xf0)
		return 0;
	if ((p[2] >> 2 & 0xf) >= (int)ARRAY_LENGTH(aac_rates))
		return 0;
	header = p[1] & 1 ? 7 : 9; /* protection_absent */
	frame = (size_t)(p[3] & 3) << 11 | (size_t)p[4] << 3 | p[5] >> 5;
	return frame > header && frame <= n ? header : 0;
}
