/* Names of clips: what is parsed is written and parsed to the same; nothing behind the end is looked at. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "storage/clip_name.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void check_instant(int64_t us)
{
	char text[CLIP_TIME_BYTES];
	const char *at = clip_time_write(text, us);
	int64_t again = -1;

	if (!clip_time_parse(&again, &at) || *at || again != us || us < 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	char *text = malloc(n + 1);
	const char *at = text;
	struct clip_range range;
	int64_t us;

	if (!text)
		return 0;
	memcpy(text, p, n);
	text[n] = '\0';
	if (clip_time_parse(&us, &at))
		check_instant(us);
	else if (at != text)
		abort();
	at = text;
	if (clip_range_parse(&range, &at)) {
		check_instant(range.from_us);
		check_instant(range.to_us);
		if (range.from_us >= range.to_us || at > text + strlen(text))
			abort();
	}
	free(text);
	return 0;
}
