/* RFC 6381 names: ISO/IEC 14496-15 section E.3 for hvc1, the AV1 ISOBMFF binding section 5 for av01. */
#include "server/media/codec_string.h"

#include <stdio.h>

#include "server/base/reader.h"
#include "server/media/aac.h"

enum {
	HEVC_CONSTRAINT_BYTES = 6
};

static void string_clear(char *ret, size_t size)
{
	if (size)
		ret[0] = '\0';
}

char *codec_string_of_avcc(char *ret, size_t size, const uint8_t *p, size_t n)
{
	string_clear(ret, size);
	if (n >= 4)
		(void)snprintf(ret, size, "avc1.%02x%02x%02x", p[1], p[2], p[3]);
	return ret;
}

static uint32_t reverse_bits(uint32_t bits)
{
	uint32_t reversed = 0;

	for (unsigned i = 0; i < 32; i++)
		reversed |= (bits >> i & 1) << (31 - i);
	return reversed;
}

char *codec_string_of_hvcc(char *ret, size_t size, const uint8_t *p, size_t n)
{
	static const char *const spaces[] = { "", "A", "B", "C" };
	struct reader r = reader_of(p, n);
	unsigned profile, level;
	uint32_t compatibility;
	const uint8_t *constraints;
	size_t used = HEVC_CONSTRAINT_BYTES;
	int at;

	string_clear(ret, size);
	reader_skip(&r, 1);
	profile = reader_u8(&r);
	compatibility = reader_u32(&r);
	constraints = reader_bytes(&r, used);
	level = reader_u8(&r);
	if (r.why || !constraints)
		return ret;
	while (used && !constraints[used - 1])
		used--;
	at = snprintf(ret, size, "hvc1.%s%u.%X.%c%u", spaces[profile >> 6], profile & 0x1f,
		reverse_bits(compatibility), profile & 0x20 ? 'H' : 'L', level);
	for (size_t i = 0; i < used && at > 0 && (size_t)at < size; i++)
		at += snprintf(ret + at, size - (size_t)at, ".%X", constraints[i]);
	return ret;
}

char *codec_string_of_av1c(char *ret, size_t size, const uint8_t *p, size_t n)
{
	unsigned bits = 8;

	string_clear(ret, size);
	if (n < 4 || p[0] != 0x81) /* marker, version 1 */
		return ret;
	if (p[2] & 0x40)
		bits = p[2] & 0x20 ? 12 : 10;
	(void)snprintf(ret, size, "av01.%u.%02u%c.%02u", p[1] >> 5, p[1] & 0x1f,
		p[2] & 0x80 ? 'H' : 'M', bits);
	return ret;
}

char *codec_string_of_aac(char *ret, size_t size, const uint8_t *p, size_t n)
{
	struct aac_config aac;
	const char *why;

	string_clear(ret, size);
	if (aac_config_parse(&aac, p, n, &why) == 0)
		(void)snprintf(ret, size, "mp4a.40.%u", aac.object_type);
	return ret;
}
