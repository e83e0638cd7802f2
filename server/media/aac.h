#pragma once

#include <stddef.h>
#include <stdint.h>

#include "server/base/attributes.h"

/* AAC: AudioSpecificConfig (ISO/IEC 14496-3 section 1.6) and ADTS headers. Pure. */

struct aac_config {
	uint8_t object_type;  /* 2 is AAC-LC, 5 and 29 are HE-AAC */
	uint32_t sample_rate; /* of the output, so SBR's when it is announced */
	uint8_t channels;
	uint16_t frame_samples; /* at sample_rate: 1024 or 960, twice that with SBR */
};

/* Returns 0, or -EBADMSG with a static *why. Channels given by a program config element are refused. */
int aac_config_parse(
	struct aac_config *ret, const uint8_t *p, size_t n, const char **why) MUST_CHECK;
/*
 * Writes a two-byte (or five-byte, for odd rates) config. Returns its bytes; 0 when ret
 * is too small or the object type is not one of 1 to 4.
 */
size_t aac_config_write(const struct aac_config *config, uint8_t *ret, size_t size);
/* The bytes of an ADTS header at p whose frame fits into n, or 0 when there is none. */
size_t aac_adts_header(const uint8_t *p, size_t n);
